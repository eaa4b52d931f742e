"""The processor's bound: places, taken by weight, handed over fairly.

Who finds too few places free waits. Producers that wait take turns, and each
producer's requests keep their order; nobody overtakes, so a dear request waits no
longer than the work before it. (Rejected: to let cheap requests pass a dear one, for
then the dear one may wait for ever.)

Layer: processor.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable

import outcome
import trio

__all__ = ("Admission",)

type _Queue = OrderedDict[trio.lowlevel.Task, int]


class Admission:
    """A count of free places and the tasks that wait for some.

    Args:
      places: How many there are.

    Thread safety: externally synchronized, by the Trio thread.
    """

    __slots__ = ("_free", "_waiting", "places")

    def __init__(self, places: int) -> None:
        self.places = places
        self._free = places
        # Producers in the order of their turns; their tasks, and how many places
        # each wants.
        self._waiting: OrderedDict[Hashable, _Queue] = OrderedDict()

    @property
    def free(self) -> int:
        """How many places are free."""
        return self._free

    def try_take(self, cost: int, *, overtakes: bool = False) -> bool:
        """Take places, if they are free and nobody waits who is not overtaken."""
        if (self._waiting and not overtakes) or cost > self._free:
            return False
        self._free -= cost
        return True

    async def wait_taken(self, cost: int, share: Hashable) -> None:
        """Wait until the places are handed over; after `try_take` said no.

        Raises the error of `turn_away`, if that comes first.
        """
        task = trio.lowlevel.current_task()
        self._waiting.setdefault(share, OrderedDict())[task] = cost

        def abort(_raise_cancel: object) -> trio.lowlevel.Abort:
            queue = self._waiting[share]
            del queue[task]
            if not queue:
                del self._waiting[share]
            self._hand_over()  # it may have been the one that was too dear
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abort)

    def give_back(self, cost: int, *, hand_over: bool = True) -> None:
        """Return places, and hand over what is free to those who wait."""
        self._free += cost
        if self._waiting and hand_over:
            self._hand_over()

    def turn_away(self, make_error: Callable[[], Exception]) -> None:
        """End the wait of everyone with an error of their own."""
        waiting, self._waiting = self._waiting, OrderedDict()
        for queue in waiting.values():
            for task in queue:
                trio.lowlevel.reschedule(task, outcome.Error(make_error()))

    def _hand_over(self) -> None:
        while self._waiting:
            share, queue = next(iter(self._waiting.items()))
            task, cost = next(iter(queue.items()))
            if cost > self._free:
                return
            self._free -= cost
            del queue[task]
            if queue:
                self._waiting.move_to_end(share)
            else:
                del self._waiting[share]
            trio.lowlevel.reschedule(task)
