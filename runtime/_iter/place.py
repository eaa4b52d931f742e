"""Where data-parallel code runs: here, if this is a worker, else on a sync pool.

Everything in this layer is synchronous and runs on a worker. A plain thread gets there
inside ``with runtime.open_sync_pool():``, which hands the call to a worker and blocks.
A Trio thread must not block, so there the call is refused with the line to write
instead.

Inside an interpreter of a pool nobody shares objects with the job. There it runs *in
place*: in the job's own thread, one after another, as on a pool of one worker.

Both sides import this file, and each worker's interpreter pays for it, so Trio is
imported where it is needed.

Layer: iter.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import get_ident
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

from .. import _backends
from .._backends.crew import current_crew, current_job
from .._backends.leaf import current_token
from .._core import CancelToken, Worker, current_worker
from .._errors import NotOnWorkerError

if TYPE_CHECKING:
    from .sync_pool import SyncPool

__all__ = (
    "SIGNAL_STEP",
    "current_sync_pool",
    "enter_sync_pool",
    "is_in_place",
    "leave_sync_pool",
    "not_on_worker",
    "run_on_worker",
    "waiting_outside",
    "worker_here",
)

# A signal that arrives just before a thread begins to wait does not end the wait; so
# who waits looks up this often, in seconds. Arbitrary.
SIGNAL_STEP = 0.1

# Keyed by thread, innermost last; each key is written by its own thread only.
_opened: "dict[int, list[SyncPool]]" = {}


def is_in_place() -> bool:
    """Return whether the caller is a job in an interpreter of a pool."""
    return current_job() is not None


def worker_here() -> Worker | None:
    """Return the calling thread's worker, or what stands for one in place.

    That has what tells a chain how many workers there are and whether to stop.
    """
    worker = current_worker()
    if worker is not None:
        return worker
    crew = current_crew()
    if crew is None:
        return None
    # One for each pool, so that each begins with values of its own (`worker_local`).
    if crew.in_place is None:  # RACE: each thread asks for values of its own anyway
        crew.in_place = _InPlace()
    return cast("Worker", crew.in_place)


class _InPlace:
    """What stands for a worker in place, for all jobs and threads.

    It has no deque: the only worker looks at none, since there is nobody to split for.
    """

    index = 0
    registry = SimpleNamespace(worker_count=1)

    @property
    def job(self) -> SimpleNamespace:
        """What has the token of the calling job; asked for late, home has none."""
        return SimpleNamespace(token=current_token())


def enter_sync_pool(pool: "SyncPool") -> None:
    """Make a pool the calling thread's own, until `leave_sync_pool`."""
    _opened.setdefault(get_ident(), []).append(pool)


def leave_sync_pool(pool: "SyncPool") -> None:
    """End what `enter_sync_pool` began; in the same thread, maybe again."""
    pools = _opened.get(get_ident(), [])
    if pool in pools:
        pools.remove(pool)
    if not pools:
        _opened.pop(get_ident(), None)


def current_sync_pool() -> "SyncPool | None":
    """Return the sync pool whose block the calling thread is in, if it may block."""
    pools = _opened.get(get_ident())
    return None if pools is None or _is_in_trio() else pools[-1]


@contextmanager
def waiting_outside() -> Iterator[CancelToken | None]:
    """Let another thread work in the place of a worker that waits for other workers.

    A plain thread just waits.

    Yields:
      The token of the job that waits, if one does.

    Raises:
      DeadlockError: as many jobs wait already as its pool has spare threads.
      BrokenWorkerError: a spare's thread could not be started.
    """
    worker = current_worker()
    if worker is None:
        yield None
        return
    worker.begin_wait()
    try:
        yield None if worker.job is None else worker.job.token
    finally:
        worker.end_wait()


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
    if _backends.is_inside:
        return NotOnWorkerError(verb, "the call in the job's own thread")
    return NotOnWorkerError(verb, in_trio if _is_in_trio() else in_thread)


def _is_in_trio() -> bool:
    import trio

    return trio.lowlevel.in_trio_run()
