"""How many items the next block gets, learnt from how long the last ones took.

A block should take long enough that handing it over costs little beside it,
and not longer, so that results appear soon and no core is left alone with the
last block. A function's cost is not known beforehand: begin with one item, and
grow while blocks come back quicker than the target.

Layer: cli.
"""

__all__ = ("BlockSize",)

_TARGET_NS = 5_000_000  # a hundred times what handing a block over costs
_GROWTH = 4  # arbitrary; from 1 to 1,000 in five blocks
_MEMORY = 0.7  # arbitrary; share of the old estimate in the new one


class BlockSize:
    """The current answer, between 1 and a limit.

    Thread safety: externally synchronized; used by the Trio thread only.
    """

    def __init__(self, limit: int) -> None:
        self.items = 1
        self._limit = limit
        self._item_ns: float | None = None

    def learn(self, item_count: int, elapsed_ns: int) -> None:
        """Take in that a block of so many items took so long."""
        item_ns = max(elapsed_ns, 1) / max(item_count, 1)
        if self._item_ns is not None:
            item_ns = _MEMORY * self._item_ns + (1 - _MEMORY) * item_ns
        self._item_ns = item_ns
        wanted = int(_TARGET_NS / item_ns)
        self.items = max(1, min(wanted, self.items * _GROWTH, self._limit))
