"""`ProcessingStatistics`: what a processor tells about itself, as a frozen snapshot.

Layer: processor.
"""

from dataclasses import dataclass

from .._core import HistogramSnapshot

__all__ = ("ProcessingStatistics",)


@dataclass(frozen=True, slots=True)
class ProcessingStatistics:
    """A processor at one moment, counted since it was opened.

    Each accepted request is counted once in the end: ``accepted`` is the sum of
    ``processed``, ``failed``, ``withdrawn``, ``dropped`` and ``in_flight``. Durations
    are empty with ``enable_statistics=False``. Of batches whose requests take less than
    0.1 ms one request is put into the histograms, for all of its batch; sums are exact.

    Attributes:
      name: The processor's name.
      elapsed_ns: Wall time since it was opened.
      accepted: Requests that got a place at the bound.
      processed: Requests the handler answered with a value.
      failed: Requests whose last attempt raised an error.
      withdrawn: Requests that were cancelled, expired or timed out.
      dropped: Requests that made way for newer ones, with ``"drop_oldest"``.
      refused: Requests that were never accepted, because the bound was reached.
      retried: Attempts after a request's first.
      in_flight: Requests accepted and not yet answered.
      queued: Of these, the ones that wait to be sent to a worker.
      batches: Batches that were run.
      useful_ns: Wall time inside the handler, all workers together.
      batch_ns: Wall time of the batches on the workers.
      queue_ns: Sum of what ``queue_latency`` counts.
      latency_ns: Sum of what ``latency`` counts.
      queue_latency: From a request's acceptance to the handler's call.
      run_time: The handler's call; with a batch handler a request's share of it.
      latency: From a request's acceptance to the end of the handler's call.
      worker_utilization: Per worker, the share of the elapsed time inside jobs.
      jobs_stolen: Jobs that the pool's workers took from each other.
    """

    name: str
    elapsed_ns: int
    accepted: int
    processed: int
    failed: int
    withdrawn: int
    dropped: int
    refused: int
    retried: int
    in_flight: int
    queued: int
    batches: int
    useful_ns: int
    batch_ns: int
    queue_ns: int
    latency_ns: int
    queue_latency: HistogramSnapshot
    run_time: HistogramSnapshot
    latency: HistogramSnapshot
    worker_utilization: tuple[float, ...]
    jobs_stolen: int

    @property
    def total_processed(self) -> int:
        """Requests the handler answered, with a value or an error."""
        return self.processed + self.failed

    @property
    def total_failed(self) -> int:
        """Of these, the ones it answered with an error; the same as ``failed``."""
        return self.failed

    @property
    def total_processing_time(self) -> float:
        """Seconds inside the handler, all workers and attempts together."""
        return self.useful_ns / 1e9

    @property
    def mean_processing_ns(self) -> float:
        """Mean wall time of the handler's call; 0 if it was not called."""
        return self.useful_ns / self.run_time.count if self.run_time.count else 0.0

    @property
    def mean_batch_size(self) -> float:
        """Requests per batch; 0 if there was none."""
        return self.run_time.count / self.batches if self.batches else 0.0

    @property
    def batch_efficiency_ratio(self) -> float:
        """Share of the batches' time on the workers spent inside the handler."""
        return self.useful_ns / self.batch_ns if self.batch_ns else 0.0

    @property
    def requests_per_second(self) -> float:
        """Requests answered by the handler per second since the beginning."""
        return self.total_processed * 1e9 / self.elapsed_ns if self.elapsed_ns else 0.0
