"""The pool's bound: a number of places, handed over in the order of asking.

What a `trio.Semaphore` does, without its checkpoint when a place is free: who takes
a place is about to wait for a job anyway. Thousands of tasks may wait here at
once, so waiting keeps as few objects as possible.

Layer: frontend.
"""

from collections import OrderedDict
from collections.abc import Callable

import trio

__all__ = ("Bound",)


class Bound:
    """A count of free places and the tasks that wait for one.

    Args:
      places: How many there are.
      check_open: Raises if nothing is accepted any more; asked after a wait. Who
        takes a place without one has asked by itself.
      may_overdraw: Tells whether the caller need not wait, as who holds a place
        waits for it.

    Thread safety: externally synchronized, by the Trio thread.
    """

    __slots__ = ("_check_open", "_free", "_may_overdraw", "_waiting")

    def __init__(
        self,
        places: int,
        check_open: Callable[[], None],
        may_overdraw: Callable[[], bool] = bool,
    ) -> None:
        self._check_open = check_open  # immutable
        self._may_overdraw = may_overdraw  # immutable
        # At most 0 while somebody waits.
        self._free = places  # owner: the Trio thread
        # Used as an ordered set. owner: the Trio thread
        self._waiting: OrderedDict[trio.lowlevel.Task, None] = OrderedDict()

    def try_take(self) -> bool:
        """Take a place if one is free."""
        if self._free <= 0:
            return False
        self._free -= 1
        return True

    async def wait_taken(self) -> None:
        """Wait until a place is handed over; after `try_take` said no."""
        if self._may_overdraw():
            await trio.lowlevel.checkpoint()
            self._check_open()
            self._free -= 1
            return
        task = trio.lowlevel.current_task()
        self._waiting[task] = None

        def abort(_raise_cancel: object) -> trio.lowlevel.Abort:
            del self._waiting[task]
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abort)
        try:
            self._check_open()
        except BaseException:
            self.give_back()
            raise

    def give_back(self) -> None:
        """Hand the place to who waits longest, or make it free."""
        if self._waiting and self._free == 0:
            task, _ = self._waiting.popitem(last=False)
            trio.lowlevel.reschedule(task)
        else:
            self._free += 1
