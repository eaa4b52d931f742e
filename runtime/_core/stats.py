"""What a worker counts about itself, and the frozen snapshots others read.

A worker writes plain integers that only it writes, so counting takes no lock and
no atomic operation. A reader copies them while the worker goes on: each number
is one that was true, but two numbers of a snapshot may be a moment apart.

Layer: core.
"""

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = (
    "Histogram",
    "HistogramSnapshot",
    "WorkerCounters",
    "WorkerStatistics",
    "upper_edge_ns",
)

# Four buckets for each power of two: a quantile is at most 25 % too high.
_SUB_BITS = 2
_SUB = 1 << _SUB_BITS
_BUCKETS = 64 * _SUB


def _bucket_of(value: int) -> int:
    """Return the bucket of a value in nanoseconds."""
    if value < _SUB:
        return max(value, 0)
    shift = value.bit_length() - 1 - _SUB_BITS
    return min(
        ((shift + 1) << _SUB_BITS) + ((value >> shift) & (_SUB - 1)), _BUCKETS - 1
    )


def upper_edge_ns(bucket: int) -> int:
    """Return the largest value that falls into a bucket."""
    if bucket < _SUB:
        return bucket
    shift = (bucket >> _SUB_BITS) - 1
    return ((_SUB + (bucket & (_SUB - 1)) + 1) << shift) - 1


@dataclass(frozen=True, slots=True)
class HistogramSnapshot:
    """Durations, counted in buckets of at most 25 % width.

    Attributes:
      count: How many durations were recorded.
      buckets: Count per bucket, shortest durations first.
    """

    count: int
    buckets: tuple[int, ...]

    def quantile_ns(self, q: float) -> int:
        """Return the duration that a share ``q`` of all did not exceed.

        Args:
          q: Between 0 and 1; 0.5 is the median.

        Returns:
          Nanoseconds, the upper edge of the bucket; 0 if nothing was recorded.
        """
        if not 0 <= q <= 1:
            raise ValueError(f"q must be between 0 and 1, not {q!r}")
        remaining = q * self.count
        for bucket, count in enumerate(self.buckets):
            remaining -= count
            if count and remaining <= 0:
                return upper_edge_ns(bucket)
        return 0

    @staticmethod
    def merge(parts: "Iterable[HistogramSnapshot]") -> "HistogramSnapshot":
        """Return the histogram of everything that any of the parts recorded."""
        buckets = [0] * _BUCKETS
        for part in parts:
            for bucket, count in enumerate(part.buckets):
                buckets[bucket] += count
        return HistogramSnapshot(sum(buckets), tuple(buckets))


class Histogram:
    """A log-linear histogram that one thread writes and any thread may copy.

    Thread safety: `record` by its owner only; `snapshot` from any thread.
    """

    __slots__ = ("_buckets",)

    def __init__(self) -> None:
        self._buckets = [0] * _BUCKETS  # owner

    def record(self, value_ns: int, count: int = 1) -> None:
        """Count a duration in nanoseconds, once or so often."""
        self._buckets[_bucket_of(value_ns)] += count

    def snapshot(self) -> HistogramSnapshot:
        """Return a frozen copy."""
        buckets = tuple(self._buckets)
        return HistogramSnapshot(sum(buckets), buckets)


@dataclass(frozen=True, slots=True)
class WorkerStatistics:
    """One worker's counters at one moment, since the pool was opened.

    Attributes:
      worker_index: Position in ``range(worker_count)``.
      jobs_executed: Jobs run to an outcome, pieces of batches included.
      jobs_stolen: Jobs this worker took from another worker's deque.
      steal_attempts: How often it looked into another worker's deque.
      parks: How often it went to sleep.
      wake_ups: How often it was woken for work.
      busy_ns: Wall time inside jobs, in nanoseconds.
      idle_ns: Wall time parked, in nanoseconds, completed parks only.
      queue_latency: From the push of a job to its start.
      run_time: From the start of a job to its outcome.
    """

    worker_index: int
    jobs_executed: int
    jobs_stolen: int
    steal_attempts: int
    parks: int
    wake_ups: int
    busy_ns: int
    idle_ns: int
    queue_latency: HistogramSnapshot
    run_time: HistogramSnapshot


class WorkerCounters:
    """The live counters of one worker.

    Thread safety: written by their worker only; `snapshot` from any thread.
    """

    __slots__ = (
        "busy_ns",
        "idle_ns",
        "jobs_executed",
        "jobs_stolen",
        "parks",
        "queue_latency",
        "run_time",
        "steal_attempts",
        "wake_ups",
    )

    def __init__(self) -> None:
        self.jobs_executed: int = 0  # owner
        self.jobs_stolen: int = 0  # owner
        self.steal_attempts: int = 0  # owner
        self.parks: int = 0  # owner
        self.wake_ups: int = 0  # owner
        self.busy_ns: int = 0  # owner
        self.idle_ns: int = 0  # owner
        self.queue_latency: Histogram = Histogram()  # immutable
        self.run_time: Histogram = Histogram()  # immutable

    def snapshot(self, worker_index: int) -> WorkerStatistics:
        """Return a frozen copy."""
        return WorkerStatistics(
            worker_index=worker_index,
            jobs_executed=self.jobs_executed,
            jobs_stolen=self.jobs_stolen,
            steal_attempts=self.steal_attempts,
            parks=self.parks,
            wake_ups=self.wake_ups,
            busy_ns=self.busy_ns,
            idle_ns=self.idle_ns,
            queue_latency=self.queue_latency.snapshot(),
            run_time=self.run_time.snapshot(),
        )
