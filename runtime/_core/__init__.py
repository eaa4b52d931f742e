"""The scheduler: synchronous, in plain Python, the specification that runs.

It imports nothing above `runtime._errors` and `runtime._util`, and never Trio.
How workers sleep is written in SLEEP.md, how a job lives in `job`.
"""

from .batch import Batch, captured
from .deque import Stealer, WorkDeque
from .injector import LANE_COUNT, Injector
from .job import DONE, QUEUED, RUNNING, WITHDRAWN, CancelToken, Job
from .latch import CountLatch, Latch
from .parker import Parker
from .registry import Registry
from .stats import HistogramSnapshot, WorkerStatistics
from .worker import Worker, current_worker

__all__ = (
    "DONE",
    "LANE_COUNT",
    "QUEUED",
    "RUNNING",
    "WITHDRAWN",
    "Batch",
    "CancelToken",
    "CountLatch",
    "HistogramSnapshot",
    "Injector",
    "Job",
    "Latch",
    "Parker",
    "Registry",
    "Stealer",
    "Worker",
    "WorkDeque",
    "WorkerStatistics",
    "captured",
    "core",
    "current_worker",
)

core = "python"
