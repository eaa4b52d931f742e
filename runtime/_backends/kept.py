"""Interpreters that a closed pool has left for the next one.

To create an interpreter costs 10 ms and more, and CPython never gets back some of the
memory of one that has ended. So a pool that closes leaves its interpreters here, if
they are clean, and the next pool takes them; the rules are HOST-5 and HOST-6 in
CROSSING.md.

Layer: backends, main side.
"""

import os
import threading
import time

from .._util import available_cores, is_gil_enabled
from . import stragglers
from .resident import Resident

__all__ = ("VARIABLE", "close", "end_all", "limit", "put", "take", "withhold")

VARIABLE = "RUNTIME_KEEP_INTERPRETERS"
# A small machine keeps so many: several pools, or one with more workers than cores.
# Arbitrary.
LEAST_LIMIT = 8

_lock = threading.Lock()  # no user code runs under it
_kept: list[Resident] = []  # guarded by: _lock; the one to be used next is the last
_withheld: list[Resident] = []  # guarded by: _lock; not to be used again
_ending: list[Resident] = []  # guarded by: _lock; those told to end
_is_closed = False  # guarded by: _lock; never cleared


def limit() -> int:
    """Return how many interpreters the process keeps at most.

    Raises:
      ValueError: the environment says something else than a number.
    """
    text = os.environ.get(VARIABLE, "")
    if not text:
        return max(LEAST_LIMIT, available_cores())
    if not (text.isascii() and text.isdigit()):
        raise ValueError(
            f"{VARIABLE} in the environment must be the number of interpreters to "
            f"keep, 0 for none, not {text!r}"
        )
    return int(text)


def take(key: object) -> Resident | None:
    """Return an interpreter for a pool with this key, if one is kept."""
    with _lock:
        for index in reversed(range(len(_kept))):
            if _kept[index].key == key:
                return _kept.pop(index)
    return None


def put(resident: Resident, most: int) -> bool:
    """Keep a clean interpreter; at most so many, the oldest ends first.

    Returns:
      False if nothing is kept any more: the process ends.
    """
    with _lock:
        if _is_closed:
            return False
        _kept.append(resident)  # HOST-6 kept
        surplus = [] if must_not_destroy(resident.thread) else _take_surplus(most)
        _ending[:] = [r for r in _ending if r.thread.is_alive()] + surplus
    for oldest in surplus:
        oldest.end()
    return True


def _take_surplus(most: int) -> list[Resident]:
    """Take what is to end off the lists; under the lock."""
    count = max(0, len(_kept) - most)
    surplus = _kept[:count] + _withheld
    del _kept[:count]
    _withheld.clear()
    return surplus


def withhold(resident: Resident) -> bool:
    """Keep an interpreter that nobody is to use, only because its end would wait."""
    with _lock:
        _withheld.append(resident)
        return not _is_closed


def must_not_destroy(thread: threading.Thread) -> bool:
    """Return whether the end of an interpreter could have to wait for a straggler.

    Without a GIL it stops all threads of the process, and so waits for one that is
    inside a long call of C.
    """
    return not is_gil_enabled() and stragglers.are_others_left(thread)


def drop(thread: threading.Thread) -> bool:
    """End the interpreter of this thread if it is still kept; do not wait for it.

    Returns:
      Whether it was.
    """
    if must_not_destroy(thread):
        return False
    with _lock:
        found = [resident for resident in _kept if resident.thread is thread]
        _kept[:] = [resident for resident in _kept if resident.thread is not thread]
        _ending.extend(found)
    for resident in found:
        resident.end()
    return bool(found)


def close() -> None:
    """Keep nothing more, since the process ends."""
    global _is_closed
    with _lock:
        _is_closed = True


def end_all(timeout: float | None = None) -> bool:
    """End all that are kept and wait for it.

    Args:
      timeout: Seconds to wait at most.

    Returns:
      Whether all have ended.
    """
    if must_not_destroy(threading.current_thread()):
        return False
    with _lock:
        told, idle = _ending.copy(), _kept + _withheld
        _kept.clear()
        _withheld.clear()
        _ending.extend(idle)
    for resident in idle:
        resident.end()
    ending = told + idle
    deadline = None if timeout is None else time.monotonic() + timeout
    for resident in ending:
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        resident.thread.join(left)
    return not any(resident.thread.is_alive() for resident in ending)


def _renew_lock() -> None:
    global _lock
    _lock = threading.Lock()


# After those of `crossinterp`, so that this runs before: no child lives beside them.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=end_all, after_in_child=_renew_lock)
