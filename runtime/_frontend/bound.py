"""The pool's bound: a number of places, handed over in the order of asking.

What a `trio.Semaphore` does, without its checkpoint when a place is free: who takes
a place is about to wait for a job anyway. Thousands of tasks may wait here at
once, so waiting keeps as few objects as possible.

Layer: frontend. Imports: trio.
"""

import trio

__all__ = ("Bound",)


class Bound:
    """A count of free places and the tasks that wait for one.

    Thread safety: externally synchronized, by the Trio thread.
    """

    __slots__ = ("_free", "_waiting")

    def __init__(self, places: int) -> None:
        self._free = places  # owner: the Trio thread; 0 while somebody waits
        self._waiting = trio.lowlevel.ParkingLot()  # owner: the Trio thread

    def try_take(self) -> bool:
        """Take a place if one is free."""
        if self._free == 0:
            return False
        self._free -= 1
        return True

    async def wait_taken(self) -> None:
        """Wait until a place is handed over; after `try_take` said no."""
        await self._waiting.park()

    def give_back(self) -> None:
        """Hand the place to who waits longest, or make it free."""
        if self._waiting:
            self._waiting.unpark()
        else:
            self._free += 1
