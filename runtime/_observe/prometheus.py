"""`ProcessorCollector`: a processor's statistics for Prometheus.

Nothing is counted here: a scrape takes a snapshot and translates it. The histograms'
buckets are coarser than ours, every fourth edge, which is a factor of two.

Layer: observe.
"""

from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from .._core import HistogramSnapshot
from .._core.stats import upper_edge_ns

if TYPE_CHECKING:
    from prometheus_client import Metric

    from .._processor.processor import ParallelProcessor
    from .._processor.stats import ProcessingStatistics

__all__ = ("ProcessorCollector",)

# Edges from 1 us to 69 s; what is below and above goes to the ends.
_FIRST_SHIFT = 10
_LAST_SHIFT = 36


class ProcessorCollector:
    """Exposes one processor's statistics to a registry of prometheus_client::

        prometheus_client.REGISTRY.register(runtime.ProcessorCollector(processor))

    Needs the extra ``metrics``. Register it while the processor is open, once per
    processor, and unregister it when you are done with the processor. Several
    processors are told apart by the label ``processor``.

    Raises:
      ImportError: prometheus_client is not installed.

    Thread safety: internally synchronized; registries collect from threads of theirs.
    """

    def __init__(self, processor: "ParallelProcessor[Any, Any]") -> None:
        try:
            from prometheus_client import core
        except ImportError as error:
            raise ImportError(
                "ProcessorCollector needs prometheus_client; install it with: "
                "pip install 'trio-runtime[metrics]'"
            ) from error
        self._core = core
        self._processor = processor

    def describe(self) -> "list[Metric]":
        """Return nothing: processors share the names of their metrics."""
        return []

    def collect(self) -> "Iterator[Metric]":
        """Yield the metrics of this moment."""
        statistics = self._processor.statistics()
        yield from self._counters(statistics)
        yield from self._gauges(statistics)
        for name, text, histogram, sum_ns in (
            (
                "latency",
                "acceptance to answer",
                statistics.latency,
                statistics.latency_ns,
            ),
            (
                "queue",
                "acceptance to start",
                statistics.queue_latency,
                statistics.queue_ns,
            ),
            ("run", "inside the handler", statistics.run_time, statistics.useful_ns),
        ):
            metric = self._core.HistogramMetricFamily(
                f"runtime_request_{name}_seconds",
                f"Seconds from {text}."
                if name != "run"
                else "Seconds inside the handler.",
                labels=["processor"],
            )
            metric.add_metric([statistics.name], _buckets(histogram), sum_ns / 1e9)
            yield metric

    def _counters(self, statistics: "ProcessingStatistics") -> "Iterator[Metric]":
        requests = self._core.CounterMetricFamily(
            "runtime_requests",
            "Requests by what became of them.",
            labels=["processor", "outcome"],
        )
        for result in ("processed", "failed", "withdrawn", "dropped", "refused"):
            value = getattr(statistics, result)
            requests.add_metric([statistics.name, result], value)
        yield requests
        for name, text, value in (
            (
                "runtime_request_retries",
                "Attempts after the first.",
                statistics.retried,
            ),
            ("runtime_batches", "Batches run.", statistics.batches),
            (
                "runtime_batch_seconds",
                "Wall time of batches on workers.",
                statistics.batch_ns / 1e9,
            ),
            (
                "runtime_jobs_stolen",
                "Jobs taken from other workers.",
                statistics.jobs_stolen,
            ),
        ):
            metric = self._core.CounterMetricFamily(name, text, labels=["processor"])
            metric.add_metric([statistics.name], value)
            yield metric

    def _gauges(self, statistics: "ProcessingStatistics") -> "Iterator[Metric]":
        for name, text, value in (
            ("in_flight", "Requests accepted and not answered.", statistics.in_flight),
            ("queued", "Requests that wait for a worker.", statistics.queued),
        ):
            metric = self._core.GaugeMetricFamily(
                f"runtime_requests_{name}", text, labels=["processor"]
            )
            metric.add_metric([statistics.name], value)
            yield metric
        busy = self._core.GaugeMetricFamily(
            "runtime_worker_utilization_ratio",
            "Share of the time inside jobs since the beginning.",
            labels=["processor", "worker"],
        )
        for index, ratio in enumerate(statistics.worker_utilization):
            busy.add_metric([statistics.name, str(index)], ratio)
        yield busy


def _buckets(histogram: HistogramSnapshot) -> list[tuple[str, float]]:
    """Return cumulative counts by upper edge in seconds, the last for all."""
    edges = [(1 << shift) - 1 for shift in range(_FIRST_SHIFT, _LAST_SHIFT + 1)]
    counts = [0] * (len(edges) + 1)  # the last for what is above all edges
    for bucket, count in enumerate(histogram.buckets):
        if count:
            counts[bisect_left(edges, upper_edge_ns(bucket))] += count
    names = [f"{edge / 1e9:.3g}" for edge in edges] + ["+Inf"]
    return list(zip(names, map(float, accumulate(counts)), strict=True))
