"""How many requests came to what end.

Layer: processor.
"""

__all__ = ("Counts",)


class Counts:
    """Counters of one processor; the names are those of `ProcessingStatistics`.

    Thread safety: written by the Trio thread, read by any.
    """

    __slots__ = (
        "accepted",
        "dropped",
        "failed",
        "processed",
        "refused",
        "retried",
        "withdrawn",
    )

    def __init__(self) -> None:
        self.accepted = 0
        self.processed = 0
        self.failed = 0
        self.withdrawn = 0
        self.dropped = 0
        self.refused = 0
        self.retried = 0

    @property
    def in_flight(self) -> int:
        """Requests accepted and not yet answered."""
        ended = self.processed + self.failed + self.withdrawn + self.dropped
        return self.accepted - ended
