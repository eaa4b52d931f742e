"""Where data-parallel code runs: here, if this is a worker, else on a sync pool.

Everything in this layer is synchronous and runs on a worker. A plain thread gets there
inside ``with runtime.open_sync_pool():``, which hands the call to a worker and blocks.
A Trio thread must not block, so there the call is refused with the line to write
instead.

Layer: iter. Imports: `runtime._core`, trio.
"""

from collections.abc import Callable
from threading import get_ident
from typing import TYPE_CHECKING

import trio

from .._core import current_worker
from .._errors import NotOnWorkerError

if TYPE_CHECKING:
    from .sync_pool import SyncPool

__all__ = (
    "SIGNAL_STEP",
    "current_sync_pool",
    "enter_sync_pool",
    "leave_sync_pool",
    "not_on_worker",
    "run_on_worker",
)

# A signal that arrives just before a thread begins to wait does not end the wait; so
# who waits looks up this often, in seconds. Arbitrary.
SIGNAL_STEP = 0.1

# Keyed by thread, innermost last; each key is written by its own thread only.
_opened: "dict[int, list[SyncPool]]" = {}


def enter_sync_pool(pool: "SyncPool") -> None:
    """Make a pool the calling thread's own, until `leave_sync_pool`."""
    _opened.setdefault(get_ident(), []).append(pool)


def leave_sync_pool(pool: "SyncPool") -> None:
    """End what `enter_sync_pool` began; in the same thread."""
    pools = _opened[get_ident()]
    pools.remove(pool)
    if not pools:
        del _opened[get_ident()]


def current_sync_pool() -> "SyncPool | None":
    """Return the sync pool whose block the calling thread is in, if it may block."""
    pools = _opened.get(get_ident())
    return None if pools is None or trio.lowlevel.in_trio_run() else pools[-1]


def run_on_worker[*Ts, R](
    verb: str, instead: str, fn: Callable[[*Ts], R], *args: *Ts
) -> R:
    """Call ``fn(*args)`` on a worker: here, if this is one.

    Args:
      verb: What the user called, for the error.
      instead: The line to write in Trio, for the error.

    Raises:
      NotOnWorkerError: neither a worker nor inside a sync pool's block.
    """
    if current_worker() is not None:
        return fn(*args)
    pool = current_sync_pool()
    if pool is None:
        raise not_on_worker(verb, instead, f"with runtime.open_sync_pool(): {verb}")
    return pool.run(fn, *args)


def not_on_worker(verb: str, in_trio: str, in_thread: str) -> NotOnWorkerError:
    """Return the error with the corrected line for where the caller is."""
    is_trio = trio.lowlevel.in_trio_run()
    return NotOnWorkerError(verb, in_trio if is_trio else in_thread)
