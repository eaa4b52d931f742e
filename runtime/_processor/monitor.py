"""What a processor tells a monitor while it works.

Layer: processor.
"""

from dataclasses import dataclass
from typing import Protocol

__all__ = ("BatchReport", "PerformanceMonitor")


@dataclass(frozen=True, slots=True)
class BatchReport:
    """One batch that came back from a worker.

    Attributes:
      time: Trio's clock when it came back.
      worker_index: Which worker ran it; -1 if it never began.
      size: How many requests it had.
      failed: How many of them raised an error in this attempt.
      elapsed_ns: Wall time on the worker.
      latencies_ns: For each request, from its acceptance until now.
    """

    time: float
    worker_index: int
    size: int
    failed: int
    elapsed_ns: int
    latencies_ns: tuple[int, ...]


class PerformanceMonitor(Protocol):
    """What `ParallelProcessor.with_performance_monitor` takes.

    Both methods are called in the Trio thread and must be quick. A monitor that raises
    is removed, and its error is logged.
    """

    def note_batch(self, report: BatchReport) -> None:
        """Take note of a batch that came back."""

    def note_refused(self, time: float) -> None:
        """Take note of a request that was refused or dropped at the bound."""
