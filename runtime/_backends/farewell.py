"""The end of the process beside an interpreter that still runs.

A job that a shutdown has left behind keeps its interpreter busy. To finalise Python
then hangs (without a GIL in Python code, on every build in one long C call) or crashes
(3.14, in Python code). So if there still is one at exit, the process ends without
finalisation, with what was written flushed and 1 as its status.

Layer: backends, main side. Imports: nothing of ours.
"""

import atexit
import logging
import os
import sys
import threading

__all__ = ("are_others_left", "remember")

EXIT_STATUS = 1

_stragglers: list[threading.Thread] = []
_logger = logging.getLogger("runtime")


def remember(thread: threading.Thread) -> None:
    """Note that a worker's thread was left behind inside a job."""
    _stragglers[:] = [*filter(threading.Thread.is_alive, _stragglers), thread]


def are_others_left(thread: threading.Thread) -> bool:
    """Return whether other threads than this are left behind inside a job."""
    return any(other is not thread and other.is_alive() for other in _stragglers)


def _say_farewell() -> None:
    """End the process here if its end could not be waited for."""
    count = sum(thread.is_alive() for thread in _stragglers)
    if count == 0:
        return
    _logger.warning(
        "%d job(s) still run in interpreters; the process ends without them", count
    )
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):  # none, or closed
            pass
    os._exit(EXIT_STATUS)


# At the first import, so that what the program registers afterwards runs before.
atexit.register(_say_farewell)
