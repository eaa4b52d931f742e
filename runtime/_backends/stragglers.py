"""Threads of workers that were left behind inside their interpreters.

Layer: backends, main side.
"""

import os
import threading

__all__ = ("are_others_left", "count", "forget", "is_left", "remember")

_lock = threading.Lock()  # no user code runs under it
_threads: set[threading.Thread] = set()  # guarded by: _lock


def remember(thread: threading.Thread) -> None:
    """Note that a worker's thread was left behind."""
    with _lock:
        _threads.add(thread)


def forget(thread: threading.Thread) -> None:
    """Note that the thread has left the work it was left behind in."""
    with _lock:
        _threads.discard(thread)


def is_left(thread: threading.Thread) -> bool:
    """Return whether the thread was left behind."""
    return thread in _alive()


def count() -> int:
    """Return how many still run."""
    return len(_alive())


def are_others_left(thread: threading.Thread) -> bool:
    """Return whether other threads than this one still run."""
    return any(other is not thread for other in _alive())


def _alive() -> set[threading.Thread]:
    with _lock:
        _threads.difference_update([t for t in _threads if not t.is_alive()])
        return set(_threads)


def _after_fork_in_child() -> None:
    global _lock
    _lock = threading.Lock()
    _threads.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
