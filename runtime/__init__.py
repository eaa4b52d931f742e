"""CPU-bound work on all cores, with Trio's promises around it.

Every public name is listed here with the module that defines it, and is imported
when it is first used: importing `runtime` alone loads nothing but this file.
"""

import importlib

from ._version import __version__

TYPE_CHECKING = False  # not from typing, which is slow to import
if TYPE_CHECKING:
    from . import from_worker, lowlevel, testing
    from ._core.stats import HistogramSnapshot, WorkerStatistics
    from ._errors import (
        BackendUnavailableError,
        BackpressureExceeded,
        BrokenWorkerError,
        CrossingError,
        DeadlockError,
        InternalError,
        JobCancelled,
        JobInterrupted,
        NotOnWorkerError,
        ParallelError,
        PoolClosedError,
        TaskCancelled,
        TaskFailed,
    )
    from ._frontend.cancel import check_cancelled
    from ._frontend.defaults import spawn_cpu_work
    from ._frontend.handle import Job
    from ._frontend.options import JobState, Priority
    from ._frontend.pool import WorkerPool, open_worker_pool
    from ._frontend.reports import PoolStatistics, ShutdownReport, Straggler

_HOMES = {
    "BackendUnavailableError": "_errors",
    "BackpressureExceeded": "_errors",
    "BrokenWorkerError": "_errors",
    "CrossingError": "_errors",
    "DeadlockError": "_errors",
    "HistogramSnapshot": "_core.stats",
    "InternalError": "_errors",
    "Job": "_frontend.handle",
    "JobCancelled": "_errors",
    "JobInterrupted": "_errors",
    "JobState": "_frontend.options",
    "NotOnWorkerError": "_errors",
    "ParallelError": "_errors",
    "PoolClosedError": "_errors",
    "PoolStatistics": "_frontend.reports",
    "Priority": "_frontend.options",
    "ShutdownReport": "_frontend.reports",
    "Straggler": "_frontend.reports",
    "TaskCancelled": "_errors",
    "TaskFailed": "_errors",
    "WorkerPool": "_frontend.pool",
    "WorkerStatistics": "_core.stats",
    "check_cancelled": "_frontend.cancel",
    "from_worker": "from_worker",
    "lowlevel": "lowlevel",
    "open_worker_pool": "_frontend.pool",
    "spawn_cpu_work": "_frontend.defaults",
    "testing": "testing",
}
_MODULES = {"from_worker", "lowlevel", "testing"}

__all__ = (
    "BackendUnavailableError",
    "BackpressureExceeded",
    "BrokenWorkerError",
    "CrossingError",
    "DeadlockError",
    "HistogramSnapshot",
    "InternalError",
    "Job",
    "JobCancelled",
    "JobInterrupted",
    "JobState",
    "NotOnWorkerError",
    "ParallelError",
    "PoolClosedError",
    "PoolStatistics",
    "Priority",
    "ShutdownReport",
    "Straggler",
    "TaskCancelled",
    "TaskFailed",
    "WorkerPool",
    "WorkerStatistics",
    "__version__",
    "check_cancelled",
    "from_worker",
    "lowlevel",
    "open_worker_pool",
    "spawn_cpu_work",
    "testing",
)


def __getattr__(name: str) -> object:
    """Import a public name from its home, once."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'runtime' has no attribute {name!r}")
    module = importlib.import_module(f".{home}", __name__)
    value: object = module if name in _MODULES else getattr(module, name)
    if name not in _MODULES and hasattr(value, "__module__"):
        value.__module__ = __name__  # where users find it, and errors print it
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, imported or not."""
    return sorted(__all__)
