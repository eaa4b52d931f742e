"""An iterator over some positions of a source that ends when it is time.

How long a leaf should be is not known before its items have been seen, so it is not
decided before: the leaf looks at the clock after 1, 2, 4, ... items, then about
every `CHECK_NS`, and ends itself when its time is over, when it was told to stop, or
when somebody has stolen all that its worker had to offer. What consumes it (map,
sum, list, ...) sees an ordinary iterator.

Layer: core.
"""

from collections.abc import Iterator, Sequence
from itertools import chain, islice
from operator import itemgetter, length_hint
from typing import cast

from . import sync
from .job import CancelToken
from .signals import Halted, StopRaised
from .worker import Worker, current_worker

__all__ = ("CHECK_NS", "LEAF_NS", "Leaf")

# Long against the few microseconds a leaf costs to start, short against what a
# waiting job or a canceller should wait. Measured in bench/situations/batch_1us.
LEAF_NS = 500_000

# Long against one look at the clock, short against a leaf. Arbitrary.
CHECK_NS = 25_000


class Leaf[T]:
    """Items ``start`` to ``stop`` of a source, or fewer.

    Args:
      source: Something to be indexed, or an iterator that begins at ``start``.
      start: Position of the first item.
      stop: Position after the last.
      budget_ns: When the leaf has taken this long it ends.
      interval: Items until the second look; what an earlier leaf ended with.
      run_token: Set when the whole run should stop, or None.
      job_token: Set when the job was asked to stop, or None.
      watches_demand: Whether to end as soon as the worker's deque is empty.
      halts: For a leaf that is less than one position, so that who consumes it must not
        take its end for that of the items: where a token says stop, raise `Halted`.

    Thread safety: externally synchronized.
    """

    __slots__ = (
        "_begin_ns",
        "_budget_ns",
        "_counted",
        "_halts",
        "_items",
        "_last_ns",
        "_length",
        "_tokens",
        "_worker",
        "interval",
    )

    def __init__(
        self,
        source: Sequence[T] | Iterator[T],
        start: int,
        stop: int,
        budget_ns: int,
        interval: int,
        run_token: CancelToken | None,
        job_token: CancelToken | None,
        watches_demand: bool,
        halts: bool = False,
        /,
    ) -> None:
        if not 0 <= start <= stop or interval < 1:
            raise ValueError("a leaf needs 0 <= start <= stop, interval >= 1")
        self._length = stop - start  # immutable
        self._budget_ns = budget_ns  # immutable
        self._tokens = [t for t in (run_token, job_token) if t is not None]  # immutable
        self._worker: Worker | None = (
            current_worker() if watches_demand else None
        )  # immutable
        self._halts = halts  # immutable
        self._begin_ns = self._last_ns = 0  # owner
        self.interval: int = interval  # owner: items between two looks
        items, self._counted = _positions(source, start, stop)  # owner
        # Iterated over in C, with a step of Python only for each look.
        self._items = chain.from_iterable(self._stretches(items))  # owner

    @property
    def taken(self) -> int:
        """How many items came out."""
        return self._length - length_hint(self._counted)

    @property
    def elapsed_ns(self) -> int:
        """Time from the first look to the last."""
        return self._last_ns - self._begin_ns

    def __iter__(self) -> Iterator[T]:
        return self._items

    def __next__(self) -> T:
        return next(self._items)

    def _stretches(self, items: Iterator[T]) -> Iterator[Iterator[T]]:
        while (count := self._look()) > 0:
            before = self.taken
            yield islice(items, count)
            if self.taken < before + count:
                return  # an iterator that had fewer items

    def _look(self) -> int:
        """Decide how many items come before the next look; 0 for the end."""
        now_ns = sync.clock_ns()
        taken = self.taken
        if taken == 0:
            self._begin_ns = self._last_ns = now_ns
        else:
            elapsed_ns = max(now_ns - self._last_ns, 1)
            self._last_ns = now_ns
            # A last stretch that was cut short by the end says nothing.
            if taken < self._length or self.interval == 1:
                fitting = self.interval * CHECK_NS // elapsed_ns
                self.interval = max(1, min(fitting, 2 * self.interval))
        if taken == self._length or now_ns - self._begin_ns >= self._budget_ns:
            return 0
        if any(token.is_set for token in self._tokens):
            if self._halts:
                raise Halted
            return 0
        if self._worker is not None and taken and not self._worker.deque:
            return 0
        return min(self.interval, self._length - taken)


def _positions[T](
    source: Sequence[T] | Iterator[T], start: int, stop: int
) -> tuple[Iterator[T], Iterator[object]]:
    """Return some positions' items, and an iterator that knows how many are left."""
    if isinstance(source, range):
        items = iter(source[start:stop])
        return cast("Iterator[T]", items), items
    counted = iter(range(start, stop))
    if isinstance(source, Iterator):
        return map(_first, zip(source, counted, strict=False)), counted
    if type(source) in _BUILTINS:
        return map(source.__getitem__, counted), counted
    return _items_at(source, counted), counted


_BUILTINS = {list, tuple, str, bytes, bytearray}


def _items_at[T](source: Sequence[T], positions: Iterator[int]) -> Iterator[T]:
    """Yield a sequence's items, and tell its own errors from what means the end."""
    for position in positions:
        try:
            item = source[position]
        except StopIteration as error:
            raise StopRaised(error) from None
        except IndexError:
            if position < len(source):
                raise
            raise RuntimeError(
                "the items must not change while they are iterated over"
            ) from None
        yield item


_first = itemgetter(0)
