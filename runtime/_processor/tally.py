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
        "queue_latency",
        "run_time",
        "useful_ns",
    )

    def __init__(self) -> None:
        self.batches = 0
        self.batch_ns = 0
        self.useful_ns = 0
        self.queue_latency = Histogram()
        self.run_time = Histogram()
        self.latency = Histogram()

    def note_request(
        self, accepted_ns: int, begin_ns: int, end_ns: int, useful_ns: int | None = None
    ) -> None:
        """Count one request that was run."""
        if useful_ns is None:
            useful_ns = end_ns - begin_ns
        self.useful_ns += useful_ns
        self.queue_latency.record(begin_ns - accepted_ns)
        self.run_time.record(useful_ns)
        self.latency.record(end_ns - accepted_ns)

    def note_batch(self, elapsed_ns: int) -> None:
        """Count one batch."""
        self.batches += 1
        self.batch_ns += elapsed_ns
