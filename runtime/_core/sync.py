"""The only door from `_core` to threads, locks and clocks.

In production these names are the standard library's own objects. A model test
replaces them to decide every interleaving (``tests/model/explorer.py``), so
`_core` writes ``sync.Lock()`` and never imports `threading` itself.

What each operation promises is in docs/explanation/atomicity.md.

Layer: core.
"""

import collections
import os
import threading
import time
from _thread import daemon_threads_allowed
from collections.abc import Callable
from contextvars import Context
from typing import Any, NamedTuple

__all__ = (
    "Cell",
    "Deque",
    "Lock",
    "LockType",
    "Thread",
    "clock_ns",
    "get_ident",
    "pause",
    "start_thread",
    "replace",
    "yield_core",
)

type Thread = threading.Thread
type LockType = threading.Lock

# Tried with `acquire(False)`: to pass `blocking` by its name takes as long again.
Lock = threading.Lock
Deque = collections.deque
get_ident = threading.get_ident
clock_ns = time.perf_counter_ns
yield_core = os.sched_yield
pause = time.sleep

type Version[S] = tuple[S, dict[int, Any]]


class Cell[S]:
    """A value that changes in single steps, without a lock.

    For what several threads change and no lock may guard: between any two lines of
    Python the collector may run the user's finalizers, signal handlers may run, and
    they may come back here, in the same thread. A step computes the next value from the
    last one and takes its place, unless another step was faster; then it is computed
    again. So it must do nothing else.

    Each version leads to the one that took its place. The steps have one order, and
    what a thread did before its step another sees after a later one.

    Thread safety: atomic.
    """

    __slots__ = ("_newest",)

    def __init__(self, value: S) -> None:
        # RACE: maybe not the newest any more; the others follow from it.
        self._newest: Version[S] = (value, {})  # atomic: a single store

    def read(self) -> S:
        """Return what the value was a moment ago (a hint)."""
        version = self._newest
        # ATOMIC(dict-contains): not the length, which is raised before the key shows.
        while 0 in version[1]:
            version = version[1][0]
        return version[0]

    def change[R](self, step: Callable[[S], tuple[S, R]]) -> R:
        """Let a step take place: ``value, result = step(value)``; return its result."""
        version = self._newest
        while True:
            while 0 in version[1]:  # ATOMIC(dict-contains)
                version = version[1][0]
            value, result = step(version[0])
            successor: Version[S] = (value, {})
            # ATOMIC(dict-setdefault): of two steps from one version one takes place.
            if version[1].setdefault(0, successor) is successor:
                self._newest = successor
                return result


def replace[S: NamedTuple](state: S, **changes: object) -> S:
    """Return a named tuple with some fields changed.

    Its own `_replace` is code of the standard library, in which a job may be
    interrupted; here it may not (SAFE-3).
    """
    values = zip(state._fields, state, strict=True)
    kind = type(state)
    return tuple.__new__(kind, [changes.get(name, value) for name, value in values])


# What the stack of a thread begins with, apart from the standard library's own frames.
THREAD_BASE = threading.Thread.run.__code__


def start_thread(target: Callable[[], None], name: str) -> Thread:
    """Start ``target()`` in a new daemon thread and return the thread.

    A daemon, so that a job stuck in one C call cannot keep the process alive
    after its pool gave up on it; every other worker is joined by its registry.
    Only in a pool's interpreter it is none: there daemons are not allowed.

    It begins without context variables: a thread may inherit those of whoever starts
    it, and would keep their values alive for as long as it runs.
    """
    is_daemon = daemon_threads_allowed()
    thread = threading.Thread(target=target, name=name, daemon=is_daemon)
    Context().run(thread.start)
    return thread
