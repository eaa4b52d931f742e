"""The scheduler: synchronous, in plain Python, the specification that runs.

Where the C twins of its objects were built, `selected` puts those in their place.

It imports nothing above `runtime._errors` and `runtime._util`, and never Trio.
How workers sleep is written in SLEEP.md, how a job lives in `job`.
"""

# `join` before the function of that name: else the module would take its place in
# this package when somebody imports it later.
from . import interrupt
from . import join as _join_module  # noqa: F401
from .async_library import enter_trio, job_context
from .batch import Batch
from .injector import LANE_COUNT
from .job import DONE, QUEUED, RUNNING, WITHDRAWN
from .leaf import LEAF_NS
from .registry import SPARE_LIMIT
from .selected import (
    CancelToken,
    CountLatch,
    Halted,
    Injector,
    Job,
    Latch,
    Leaf,
    Parker,
    Registry,
    Stealer,
    StopRaised,
    WorkDeque,
    Worker,
    call_each,
    core,
    current_worker,
    filter_mapped,
    filtered,
    flat_mapped,
    inspected,
    join,
    mapped,
    own_context,
    star_mapped,
)
from .stats import HistogramSnapshot, WorkerStatistics

__all__ = (
    "DONE",
    "LANE_COUNT",
    "QUEUED",
    "RUNNING",
    "SPARE_LIMIT",
    "WITHDRAWN",
    "Batch",
    "CancelToken",
    "CountLatch",
    "Halted",
    "HistogramSnapshot",
    "Injector",
    "Job",
    "LEAF_NS",
    "Latch",
    "Leaf",
    "Parker",
    "Registry",
    "Stealer",
    "StopRaised",
    "Worker",
    "WorkDeque",
    "WorkerStatistics",
    "call_each",
    "core",
    "current_worker",
    "enter_trio",
    "filter_mapped",
    "filtered",
    "flat_mapped",
    "inspected",
    "interrupt",
    "job_context",
    "join",
    "mapped",
    "star_mapped",
    "own_context",
)
