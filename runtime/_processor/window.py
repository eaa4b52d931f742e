"""How many requests one producer may have out.

A producer that found its window full goes on when a quarter of it is free again:
to wake it for every single place would cost more than a request does.

Layer: processor.
"""

import trio

__all__ = ("Window",)


class Window:
    """A count of free places, for one producer.

    Args:
      size: How many places there are.

    Thread safety: externally synchronized, by the Trio thread.
    """

    __slots__ = ("_enough", "_free", "_producer")

    def __init__(self, size: int) -> None:
        self._free = size
        self._enough = max(1, size // 4)
        self._producer = trio.lowlevel.ParkingLot()

    def try_take(self) -> bool:
        """Take a place if one is free."""
        if self._free <= 0:
            return False
        self._free -= 1
        return True

    async def wait_free(self) -> None:
        """Wait until enough places are free to go on; after `try_take` said no."""
        await self._producer.park()

    def give_back(self) -> None:
        """Return a place."""
        self._free += 1
        if self._producer and self._free >= self._enough:
            self._producer.unpark_all()
