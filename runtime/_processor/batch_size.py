"""How many requests make a batch: a fixed number, or as many as take a given time.

Layer: processor.
"""

from .config import ParallelConfig

__all__ = ("BatchSize",)

# Seconds that stand for all that is longer.
LONGEST = 1e9


class BatchSize:
    """The length of the next batch.

    Args:
      limit: The longest that adapting may come to.

    Thread safety: externally synchronized, by the Trio thread.
    """

    __slots__ = ("_limit", "_target_ns", "current")

    def __init__(self, config: ParallelConfig, limit: int) -> None:
        target = config.target_batch_time
        self._target_ns = None if target is None else round(min(target, LONGEST) * 1e9)
        self._limit = limit
        self.current = config.batch_size

    def learn(self, size: int, elapsed_ns: int) -> None:
        """Choose the length that would have taken the target time, at most doubled."""
        if self._target_ns is None:
            return
        fitting = size * self._target_ns // max(elapsed_ns, 1)
        self.current = max(1, min(fitting, 2 * size, self._limit))
