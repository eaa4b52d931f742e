"""Things to do at a time of Trio's clock, many of them in one task.

Deadlines, timeouts, retries and delayed batches are each one entry of a heap. An
entry that is not needed any more is emptied; when most are empty the heap is made
anew, so a long deadline keeps no answered request alive.

Layer: processor.
"""

import heapq
import math
from collections.abc import Callable
from itertools import count
from typing import NoReturn

import trio

__all__ = ("Timer", "Timers")

_MIN_COMPACTED = 64  # shorter heaps are left alone; arbitrary


class Timer:
    """One entry: when, and what. Ordered by time, then by age."""

    __slots__ = ("_owner", "action", "key")

    def __init__(
        self, owner: "Timers", key: tuple[float, int], action: Callable[[], object]
    ) -> None:
        self._owner = owner
        self.key = key
        self.action: Callable[[], object] | None = action

    def __lt__(self, other: "Timer") -> bool:
        return self.key < other.key

    def cancel(self) -> None:
        """Forget the action, if it was not done yet."""
        if self.action is not None:
            self.action = None
            self._owner.note_cancelled()


class Timers:
    """A heap of timers and the task that does what is due.

    Thread safety: externally synchronized, by the Trio thread.
    """

    __slots__ = ("_cancelled", "_heap", "_life", "_numbers", "_scope")

    def __init__(self) -> None:
        self._heap: list[Timer] = []
        self._numbers = count()
        self._cancelled = 0
        self._scope = trio.CancelScope()
        # Until `close`, whatever is cancelled around it: who waits for a request may
        # be shielded, and counts on its timeout.
        self._life = trio.CancelScope(shield=True)

    def __len__(self) -> int:
        """Return how many entries there are, empty ones included."""
        return len(self._heap)

    def at(self, time: float, action: Callable[[], object]) -> Timer:
        """Have ``action()`` called at or soon after a time; it must not raise."""
        timer = Timer(self, (time, next(self._numbers)), action)
        heapq.heappush(self._heap, timer)
        self._scope.deadline = self._heap[0].key[0]
        return timer

    def note_cancelled(self) -> None:
        """Count one more empty entry; drop them all if they are most."""
        self._cancelled += 1
        if len(self._heap) > _MIN_COMPACTED and 2 * self._cancelled > len(self._heap):
            self._heap = [t for t in self._heap if t.action is not None]
            heapq.heapify(self._heap)
            self._cancelled = 0

    def close(self) -> None:
        """Do nothing more, whatever is due."""
        self._life.cancel()

    async def run(self) -> None:
        """Do what is due, until `close`."""
        with self._life:
            await self._run()

    async def _run(self) -> NoReturn:
        while True:
            self._do_due()
            deadline = self._heap[0].key[0] if self._heap else math.inf
            # `at` moves the deadline of the sleep that is under way.
            with trio.CancelScope(deadline=deadline) as self._scope:
                await trio.sleep_forever()

    def _do_due(self) -> None:
        now = trio.current_time()
        while self._heap and self._heap[0].key[0] <= now:
            timer = heapq.heappop(self._heap)
            if timer.action is None:
                self._cancelled -= 1
            else:
                action, timer.action = timer.action, None
                action()
