"""What one worker counts about the requests it runs.

As for `runtime._core.stats`: one writer, plain integers, copied by readers while the
worker goes on. Sums are exact; of very short requests a sample goes into the
histograms.

Layer: processor.
"""

from collections.abc import Sequence

from .._core.stats import Histogram

__all__ = ("WorkerTally",)

# To record a request costs about 2 us; of requests that take less than fifty times that
# on average, one in a batch is recorded, for all of them.
SAMPLED_BELOW_NS = 100_000


class WorkerTally:
    """The counters of one worker.

    Thread safety: written by their worker only; read from any thread.
    """

    __slots__ = (
        "_turn",
        "batch_ns",
        "batches",
        "latency",
        "latency_ns",
        "queue_latency",
        "queue_ns",
        "run_time",
        "useful_ns",
    )

    def __init__(self) -> None:
        self._turn = 0
        self.batches = 0
        self.batch_ns = 0
        self.useful_ns = 0
        self.queue_ns = 0
        self.latency_ns = 0
        self.queue_latency = Histogram()
        self.run_time = Histogram()
        self.latency = Histogram()

    def note_requests(
        self,
        accepted: Sequence[int],
        begins: Sequence[int],
        ends: Sequence[int],
        shared_by: int = 1,
    ) -> None:
        """Count requests of one batch that were run.

        Args:
          accepted: When they were accepted, one time each; at least one.
          begins: When the handler was called for them.
          ends: When it returned.
          shared_by: How many requests each of these calls was for.
        """
        count = len(begins)
        run_ns = sum(ends) - sum(begins)
        self.useful_ns += run_ns // shared_by
        self.queue_ns += sum(begins) - sum(accepted)
        self.latency_ns += sum(ends) - sum(accepted)
        if run_ns < SAMPLED_BELOW_NS * count:
            # One stands for all; which one, changes from batch to batch.
            self._turn += 1
            index = self._turn % count
            self._record(accepted[index], begins[index], ends[index], shared_by, count)
            return
        for accepted_ns, begin_ns, end_ns in zip(accepted, begins, ends, strict=True):
            self._record(accepted_ns, begin_ns, end_ns, shared_by, 1)

    def _record(
        self, accepted_ns: int, begin_ns: int, end_ns: int, shared_by: int, count: int
    ) -> None:
        self.queue_latency.record(begin_ns - accepted_ns, count)
        self.run_time.record((end_ns - begin_ns) // shared_by, count)
        self.latency.record(end_ns - accepted_ns, count)

    def note_batch(self, elapsed_ns: int) -> None:
        """Count one batch."""
        self.batches += 1
        self.batch_ns += elapsed_ns
