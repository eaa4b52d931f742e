"""The only door from `_core` to threads, locks and clocks.

In production these names are the standard library's own objects. A model test
replaces them to decide every interleaving (``tests/model/explorer.py``), so
`_core` writes ``sync.Lock()`` and never imports `threading` itself.

What each operation promises is in docs/explanation/atomicity.md.

Layer: core. Imports: nothing of ours.
"""

import collections
import os
import threading
import time
from _thread import daemon_threads_allowed
from collections.abc import Callable
from contextvars import Context

__all__ = (
    "Deque",
    "Lock",
    "LockType",
    "Thread",
    "clock_ns",
    "get_ident",
    "pause",
    "start_thread",
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
