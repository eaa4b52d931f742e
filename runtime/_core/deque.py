"""A worker's queue: the owner works at the bottom, thieves take from the top.

Two types for two roles. `WorkDeque` belongs to one worker and can push and pop;
`Stealer` is what the others hold and can only steal. Whoever has the wrong
object simply lacks the wrong operation.

Both ends meet in one `sync.Deque`, whose single operations are atomic, so a
steal never has to be retried here: it has an item or finds the queue empty.

Layer: core.

Source: Chase & Lev 2005 for the roles and ends; the native core has the
algorithm, this one lets the container's atomicity do the work.
"""

from . import sync

__all__ = ("Stealer", "WorkDeque")


class Stealer[T]:
    """The thief's end of one worker's queue.

    Thread safety: internally synchronized; any thread, any number of holders.
    """

    __slots__ = ("_items",)

    def __init__(self, items: "sync.Deque[T]") -> None:
        self._items = items  # atomic: popleft, len

    def __len__(self) -> int:
        """Return how many items there were a moment ago."""
        return len(self._items)

    def steal(self) -> T | None:
        """Take the oldest item; None if there is none."""
        if not self._items:  # RACE: maybe stale; the last look before sleep is not
            return None
        # ATOMIC(deque-popleft): of two thieves, or a thief and the owner, who
        # race for the last item one gets it and the other finds the queue empty.
        try:
            return self._items.popleft()
        except IndexError:
            return None


class WorkDeque[T]:
    """The owner's end of one worker's queue. Unbounded.

    Thread safety: externally synchronized; only the owning worker calls it.
    """

    __slots__ = ("_items",)

    def __init__(self) -> None:
        self._items: sync.Deque[T] = sync.Deque()  # atomic: append, pop, len

    def __len__(self) -> int:
        """Return the number of items; thieves may have made it smaller since."""
        return len(self._items)

    def push(self, item: T) -> None:
        """Add an item at the bottom."""
        self._items.append(item)

    def pop(self) -> T | None:
        """Take the newest item; None if there is none."""
        if not self._items:
            return None
        # ATOMIC(deque-pop): see Stealer.steal.
        try:
            return self._items.pop()
        except IndexError:
            return None

    def stealer(self) -> Stealer[T]:
        """Return a thief's handle on this queue."""
        return Stealer(self._items)
