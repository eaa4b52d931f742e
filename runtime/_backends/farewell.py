"""The end of the process, and of the interpreters that there still are.

To finalise Python beside a thread that is inside an interpreter hangs or crashes. So
before it every interpreter has to end:

* those that are kept for the next pool;
* those of pools that are open: Trio runs in a daemon thread, and the main thread ends;
* those that a pool has left behind, or that do not end in time, cannot be waited for:
  then the process ends without finalisation, with what was written flushed and 1 as
  its status.

Layer: backends, main side.
"""

import atexit
import logging
import os
import sys
import threading
import time
from typing import Protocol

from . import kept, stragglers

__all__ = ("forget", "is_any_open", "track")

EXIT_STATUS = 1
# Seconds in which the last jobs of open pools may end. Arbitrary.
BUSY_GRACE = 1.0
# Seconds for all that ends by itself, such as an interpreter on its way. Arbitrary.
GRACE = 10.0

_logger = logging.getLogger("runtime")


class Registry(Protocol):
    """Workers of an open pool."""

    def stop(self) -> None:
        """Tell them to stop; from any thread."""

    def join_until(self, deadline: float, busy_deadline: float) -> None:
        """Wait for them."""

    def leave_behind(self) -> None:
        """Wait no more."""


_lock = threading.Lock()  # no user code runs under it
_open: set[Registry] = set()  # guarded by: _lock
_is_ending = False  # guarded by: _lock; never cleared


def track(registry: Registry) -> None:
    """Have workers end before the process does; before the first of them begins."""
    with _lock:
        _open.add(registry)
        is_late = _is_ending
    if is_late:
        registry.stop()


def forget(registry: Registry) -> None:
    """Note that workers have ended, or were left behind."""
    with _lock:
        _open.discard(registry)


def is_any_open() -> bool:
    """Return whether a pool of interpreters is open."""
    with _lock:
        return bool(_open)


def _end_interpreters() -> None:
    """End what can be ended; end the process here if that is not all."""
    kept.close()
    if stragglers.count() == 0:
        _end_open_pools()
        kept.end_all(GRACE)
    count = stragglers.count()
    if count:
        _exit(count)


def _end_open_pools() -> None:
    global _is_ending
    with _lock:
        _is_ending = True
        registries = list(_open)
    for registry in registries:
        registry.stop()
    now = time.monotonic()
    for registry in registries:
        registry.join_until(now + GRACE, now + BUSY_GRACE)
        registry.leave_behind()


def _exit(count: int) -> None:
    _logger.warning(
        "%d worker(s) still run in interpreters, in a job or beside a thread that a "
        "job has left; the process ends without them",
        count,
    )
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):  # none, or closed
            pass
    os._exit(EXIT_STATUS)


def _after_fork_in_child() -> None:
    global _lock
    _lock = threading.Lock()
    _open.clear()


# At the first import, so that what the program registers afterwards runs before.
atexit.register(_end_interpreters)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
