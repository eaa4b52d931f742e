"""Keep threads on cores of their own, so that the system moves none meanwhile.

On a machine that others use too, the system may put a thread that wakes up on the core
of the one that woke it, and leave both there for many milliseconds.
"""

import os

import runtime

__all__ = ("pin_thread", "pin_workers")

_CORES = sorted(os.sched_getaffinity(0))


def pin_thread(number: int) -> None:
    """Keep the calling thread on one core."""
    os.sched_setaffinity(0, {_CORES[number % len(_CORES)]})


async def pin_workers(pool: runtime.WorkerPool) -> None:
    """Keep each worker of a pool on a core of its own."""
    await pool.broadcast(_pin_worker)


def _pin_worker() -> None:
    worker = runtime.lowlevel.current_worker()
    assert worker is not None
    pin_thread(worker.index)
