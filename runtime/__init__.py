"""CPU-bound work on all cores, with Trio's promises around it.

Every public name is listed here with the module that defines it, and is imported
when it is first used: importing `runtime` alone loads nothing but this file.
"""

import importlib

from ._version import __version__

TYPE_CHECKING = False  # not from typing, which is slow to import
if TYPE_CHECKING:
    from . import from_worker, lowlevel, testing
    from ._core.interrupt import uninterruptible
    from ._core.selected import check_cancelled
    from ._core.stats import HistogramSnapshot, WorkerStatistics
    from ._errors import (
        BackendUnavailableError,
        BackpressureExceeded,
        BrokenWorkerError,
        CancelReason,
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
        WrongThreadError,
    )
    from ._frontend.blocking import blocking
    from ._frontend.defaults import spawn_cpu_work
    from ._frontend.handle import Job
    from ._frontend.options import JobState, Priority
    from ._frontend.reports import PoolStatistics, ShutdownReport, Straggler
    from ._iter.broadcast import broadcast
    from ._iter.forkjoin import join
    from ._iter.par import ParIter, par_iter
    from ._iter.pool import WorkerPool, open_worker_pool
    from ._iter.scope import Scope, scope
    from ._iter.sync_pool import SyncPool, open_sync_pool
    from ._iter.worker_local import WorkerLocal, worker_local
    from ._observe.prometheus import ProcessorCollector
    from ._observe.stream_monitor import (
        StreamPerformance,
        StreamPerformanceMonitor,
        Threshold,
    )
    from ._processor.config import ParallelConfig, RetryPolicy
    from ._processor.monitor import BatchReport, PerformanceMonitor
    from ._processor.processor import ParallelProcessor
    from ._processor.stats import ProcessingStatistics

_HOMES = {
    "BackendUnavailableError": "_errors",
    "BackpressureExceeded": "_errors",
    "BatchReport": "_processor.monitor",
    "BrokenWorkerError": "_errors",
    "CancelReason": "_errors",
    "CrossingError": "_errors",
    "DeadlockError": "_errors",
    "HistogramSnapshot": "_core.stats",
    "InternalError": "_errors",
    "Job": "_frontend.handle",
    "JobCancelled": "_errors",
    "JobInterrupted": "_errors",
    "JobState": "_frontend.options",
    "NotOnWorkerError": "_errors",
    "ParIter": "_iter.par",
    "ParallelConfig": "_processor.config",
    "ParallelError": "_errors",
    "ParallelProcessor": "_processor.processor",
    "PerformanceMonitor": "_processor.monitor",
    "PoolClosedError": "_errors",
    "PoolStatistics": "_frontend.reports",
    "Priority": "_frontend.options",
    "ProcessingStatistics": "_processor.stats",
    "ProcessorCollector": "_observe.prometheus",
    "RetryPolicy": "_processor.config",
    "Scope": "_iter.scope",
    "ShutdownReport": "_frontend.reports",
    "Straggler": "_frontend.reports",
    "StreamPerformance": "_observe.stream_monitor",
    "StreamPerformanceMonitor": "_observe.stream_monitor",
    "SyncPool": "_iter.sync_pool",
    "TaskCancelled": "_errors",
    "TaskFailed": "_errors",
    "Threshold": "_observe.stream_monitor",
    "WorkerLocal": "_iter.worker_local",
    "WorkerPool": "_iter.pool",
    "WorkerStatistics": "_core.stats",
    "WrongThreadError": "_errors",
    "blocking": "_frontend.blocking",
    "broadcast": "_iter.broadcast",
    "check_cancelled": "_core.selected",
    "from_worker": "from_worker",
    "join": "_iter.forkjoin",
    "lowlevel": "lowlevel",
    "open_sync_pool": "_iter.sync_pool",
    "open_worker_pool": "_iter.pool",
    "par_iter": "_iter.par",
    "scope": "_iter.scope",
    "spawn_cpu_work": "_frontend.defaults",
    "testing": "testing",
    "uninterruptible": "_core.interrupt",
    "worker_local": "_iter.worker_local",
}
_MODULES = {"from_worker", "lowlevel", "testing"}

__all__ = (
    "BackendUnavailableError",
    "BackpressureExceeded",
    "BatchReport",
    "BrokenWorkerError",
    "CancelReason",
    "CrossingError",
    "DeadlockError",
    "HistogramSnapshot",
    "InternalError",
    "Job",
    "JobCancelled",
    "JobInterrupted",
    "JobState",
    "NotOnWorkerError",
    "ParIter",
    "ParallelConfig",
    "ParallelError",
    "ParallelProcessor",
    "PerformanceMonitor",
    "PoolClosedError",
    "PoolStatistics",
    "Priority",
    "ProcessingStatistics",
    "ProcessorCollector",
    "RetryPolicy",
    "Scope",
    "ShutdownReport",
    "Straggler",
    "StreamPerformance",
    "StreamPerformanceMonitor",
    "SyncPool",
    "TaskCancelled",
    "TaskFailed",
    "Threshold",
    "WorkerLocal",
    "WorkerPool",
    "WorkerStatistics",
    "WrongThreadError",
    "__version__",
    "blocking",
    "broadcast",
    "check_cancelled",
    "from_worker",
    "join",
    "lowlevel",
    "open_sync_pool",
    "open_worker_pool",
    "par_iter",
    "scope",
    "spawn_cpu_work",
    "testing",
    "uninterruptible",
    "worker_local",
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
