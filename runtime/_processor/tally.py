"""What one worker counts about the requests it runs.

As for `runtime._core.stats`: one writer, plain integers, copied by readers while the
worker goes on.

Layer: processor. Imports: `runtime._core`.
"""

from .._core.stats import Histogram

__all__ = ("WorkerTally",)


class WorkerTally:
    """The counters of one worker.

    Thread safety: written by their worker only; read from any thread.
    """

    __slots__ = (
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
        self.batches = 0
        self.batch_ns = 0
        self.useful_ns = 0
        self.queue_ns = 0
        self.latency_ns = 0
        self.queue_latency = Histogram()
        self.run_time = Histogram()
        self.latency = Histogram()

    def note_request(
        self, accepted_ns: int, begin_ns: int, end_ns: int, useful_ns: int | None = None
    ) -> None:
        """Count one request that was run."""
        if useful_ns is None:
            useful_ns = end_ns - begin_ns
        queue_ns = begin_ns - accepted_ns
        latency_ns = end_ns - accepted_ns
        self.useful_ns += useful_ns
        self.queue_ns += queue_ns
        self.latency_ns += latency_ns
        self.run_time.record(useful_ns)
        self.queue_latency.record(queue_ns)
        self.latency.record(latency_ns)

    def note_batch(self, elapsed_ns: int) -> None:
        """Count one batch."""
        self.batches += 1
        self.batch_ns += elapsed_ns
