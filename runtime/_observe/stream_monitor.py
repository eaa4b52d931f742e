"""`StreamPerformanceMonitor`: the last seconds of a processor, and alarms.

Time is cut into slots of a tenth of the window. Reports are counted in the newest
slot; a slot that is older than the window is dropped. So memory does not depend on
the load, and a figure lags behind by a slot at most.

Layer: observe.
"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import trio

from .._core import HistogramSnapshot
from .._core.stats import Histogram

if TYPE_CHECKING:
    from .._processor.monitor import BatchReport

__all__ = ("StreamPerformance", "StreamPerformanceMonitor", "Threshold")

_SLOTS = 10  # per window; arbitrary


@dataclass(frozen=True, slots=True)
class StreamPerformance:
    """What happened within the window.

    Attributes:
      requests_per_second: Requests that came back from workers.
      failed_ratio: Share of them that raised an error.
      refused_per_second: Requests refused or dropped at the bound.
      mean_batch_size: Requests per batch.
      busy_workers: How many workers were inside batches, on average.
      latency_p50: Seconds from acceptance to the way back, the median.
      latency_p99: The same, what one in a hundred exceeds.
    """

    requests_per_second: float = 0.0
    failed_ratio: float = 0.0
    refused_per_second: float = 0.0
    mean_batch_size: float = 0.0
    busy_workers: float = 0.0
    latency_p50: float = 0.0
    latency_p99: float = 0.0


@dataclass(frozen=True, slots=True)
class Threshold:
    """An alarm: calls ``action(figure, value)`` when a figure rises above a limit.

    It calls once for each rise; the figure has to fall to the limit first before it
    calls again. Figures are looked at once per slot, when something is reported.

    Attributes:
      figure: Name of an attribute of `StreamPerformance`.
      above: The limit.
      action: Called in the Trio thread. What it raises removes the monitor.
    """

    figure: str
    above: float
    action: Callable[[str, float], object]

    def __post_init__(self) -> None:
        """Refuse a figure that is not there."""
        if self.figure not in StreamPerformance.__slots__:
            names = ", ".join(StreamPerformance.__slots__)
            raise ValueError(f"figure must be one of {names}, not {self.figure!r}")


class _Slot:
    """What was reported within a tenth of a window."""

    __slots__ = (
        "batches",
        "begin",
        "elapsed_ns",
        "failed",
        "latency",
        "refused",
        "size",
    )

    def __init__(self, begin: float) -> None:
        self.begin = begin
        self.batches = 0
        self.size = 0
        self.failed = 0
        self.refused = 0
        self.elapsed_ns = 0
        self.latency = Histogram()


class StreamPerformanceMonitor:
    """Watches a processor over a sliding window.

    Give it to `ParallelProcessor.with_performance_monitor`.

    Args:
      window: Seconds that the figures are about.
      thresholds: Alarms.

    Thread safety: externally synchronized, by the Trio thread.
    """

    def __init__(
        self, *, window: float = 10.0, thresholds: Iterable[Threshold] = ()
    ) -> None:
        if not window > 0:
            raise ValueError(f"window must be a number of seconds, not {window!r}")
        self._window = window
        self._thresholds = tuple(thresholds)
        self._raised: set[Threshold] = set()
        self._slots: deque[_Slot] = deque()
        self._first: float | None = None

    def note_batch(self, report: "BatchReport") -> None:
        """Take note of a batch that came back."""
        slot = self._slot(report.time)
        slot.batches += 1
        slot.size += report.size
        slot.failed += report.failed
        slot.elapsed_ns += report.elapsed_ns
        for latency_ns in report.latencies_ns:
            slot.latency.record(latency_ns)

    def note_refused(self, time: float) -> None:
        """Take note of a request that was refused or dropped at the bound."""
        self._slot(time).refused += 1

    def performance(self) -> StreamPerformance:
        """Return the figures of the window that ends now; in the Trio thread."""
        return self._performance(trio.current_time())

    def _slot(self, time: float) -> _Slot:
        """Return the newest slot, and look at the alarms when it is a new one."""
        if self._first is None:
            self._first = time
        if not self._slots or time - self._slots[-1].begin >= self._window / _SLOTS:
            if self._slots:
                self._check_thresholds(self._performance(time))
            self._slots.append(_Slot(time))
        return self._slots[-1]

    def _performance(self, now: float) -> StreamPerformance:
        while self._slots and self._slots[0].begin < now - self._window:
            self._slots.popleft()
        slots = self._slots
        size = sum(slot.size for slot in slots)
        batches = sum(slot.batches for slot in slots)
        if self._first is None or not (size or any(slot.refused for slot in slots)):
            return StreamPerformance()
        seconds = max(min(self._window, now - self._first), self._window / _SLOTS)
        latency = HistogramSnapshot.merge(slot.latency.snapshot() for slot in slots)
        return StreamPerformance(
            requests_per_second=size / seconds,
            failed_ratio=sum(slot.failed for slot in slots) / size if size else 0.0,
            refused_per_second=sum(slot.refused for slot in slots) / seconds,
            mean_batch_size=size / batches if batches else 0.0,
            busy_workers=sum(slot.elapsed_ns for slot in slots) / 1e9 / seconds,
            latency_p50=latency.quantile_ns(0.5) / 1e9,
            latency_p99=latency.quantile_ns(0.99) / 1e9,
        )

    def _check_thresholds(self, performance: StreamPerformance) -> None:
        for threshold in self._thresholds:
            value = getattr(performance, threshold.figure)
            if value <= threshold.above:
                self._raised.discard(threshold)
            elif threshold not in self._raised:
                self._raised.add(threshold)
                threshold.action(threshold.figure, value)
