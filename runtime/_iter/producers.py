"""What a chain is made of: sources that can be cut, and stages upon them.

A *producer* has *positions*, numbered from 0. Any stretch of them can be turned into
an iterator of items, on any worker, and that is all a producer does. Sources are
producers; so is a producer with a stage (map, filter, ...) on top. A producer is
*exact* if each position gives one item; filter and flat_map end that.

A stage is ordinary Python: the iterator of a leaf of ``range(10).map(f).filter(p)`` is
``filter(p, map(f, leaf))``. The innermost iterator is the leaf itself, which ends when
it is time (`runtime._core.leaf`); it is made by the `Gauge` of the piece of work that
runs. What goes on *within* one position, such as the items of a chunk or of one call
of `flat_map`, cannot end there: it has a gauge of its own, whose leaves halt.

Layer: iter.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import batched, chain, islice, pairwise, repeat
from threading import get_ident
from typing import Any, override

from .._core import LEAF_NS, CancelToken, Leaf, flat_mapped, mapped
from .constants import settle_constants
from .private import private
from .stages import with_scratch
from .terminals import Position, folded

__all__ = (
    "Blocked",
    "Bridge",
    "Chained",
    "Chunked",
    "Enumerated",
    "FlatMapped",
    "Gauge",
    "Indexed",
    "MappedWithScratch",
    "Producer",
    "Sliced",
    "Slices",
    "Staged",
    "Zipped",
)

_NO_LIMIT = 1 << 62


class Gauge(Position):
    """Measures one piece's leaves and ends them.

    As it is made, it is for a chain's first leaf, which may be its only one: so nothing
    is set that need not be, and nothing prepared for other leaves.

    Thread safety: thread-local.
    """

    # The leaf's first position.
    start: int = 0
    # When a leaf has taken this long it ends.
    budget_ns: int = 0
    # They end it too.
    run_token: CancelToken | None = None
    job_token: CancelToken | None = None
    # Items until the second look at the clock.
    interval: int = 1
    # Whether to end a leaf when the worker's deque is empty.
    watches: bool = False
    # Whether other leaves, on any worker, call the same functions.
    is_one_of_many: bool = False
    leaf: "Leaf[Any] | None" = None
    # The items that were pulled for this piece; for `Bridge`.
    block: list[Any]
    # Whether a leaf may end early, at any of its positions.
    ends_leaves: bool = True

    @override
    def current(self) -> int:
        leaf = self.leaf
        return self.start if leaf is None else self.start + max(leaf.taken - 1, 0)

    def is_stopped(self) -> bool:
        """Return whether the token is set that stops this piece."""
        return self.run_token is not None and self.run_token.is_set

    def over(self, source: Any, start: int, stop: int) -> Iterator[Any]:
        """Make the leaf: items ``start`` to ``stop`` of the source, or fewer."""
        self.leaf = leaf = Leaf(
            source,
            start,
            stop,
            self.budget_ns,
            self.interval,
            self.run_token,
            self.job_token,
            self.watches,
        )
        return leaf

    def within(self) -> "_Within":
        """Return a gauge for leaves that are less than one of this one's positions."""
        inner = _Within()
        inner.run_token = self.run_token
        inner.job_token = self.job_token
        return inner

    def own[F](self, fn: F) -> F:
        """Return the function, or a copy that only this thread knows."""
        if not self.is_one_of_many:
            return fn
        settle_constants(fn)
        return private(fn)


class _Within(Gauge):
    """Its leaves never end early: where a token says stop they raise `Halted`."""

    ends_leaves = False

    @override
    def over(self, source: Any, start: int, stop: int) -> Iterator[Any]:
        before = self.leaf
        self.leaf: Leaf[Any] | None = Leaf(
            source,
            start,
            stop,
            _NO_LIMIT,
            1 if before is None else before.interval,
            self.run_token,
            self.job_token,
            False,
            True,
        )
        return self.leaf

    def pace(self) -> "Leaf[None]":
        """Return a leaf that looks once in a while, to be told of each item."""
        leaf = self.over(repeat(None), 0, _NO_LIMIT)
        assert isinstance(leaf, Leaf)
        return leaf


class Producer(ABC):
    """Positions that can be cut, and become items stretch by stretch."""

    __slots__ = ("is_exact", "length")

    # How many positions there are; None if nobody knows before the end.
    length: int | None
    # Whether position i gives item i.
    is_exact: bool

    @abstractmethod
    def leaf(self, start: int, stop: int, gauge: Gauge) -> Iterator[Any]:
        """Return the items of some positions, or of the first of them."""

    @abstractmethod
    def cut(self, start: int, stop: int) -> "Producer":
        """Return a producer of these positions alone, with nothing of the others.

        Over an iterator: of the next ``stop - start`` items, or as many as there are.
        """

    def bridge(self) -> "Bridge | None":
        """Return the iterator at the bottom, if that is what it is."""
        return None


class Indexed(Producer):
    """Something with a length that can be indexed: list, tuple, range, array, str."""

    __slots__ = ("_items",)

    def __init__(self, items: Sequence[Any]) -> None:
        self._items = items
        self.length = len(items)
        self.is_exact = True

    @override
    def leaf(self, start: int, stop: int, gauge: Gauge) -> Iterator[Any]:
        return gauge.over(self._items, start, stop)

    @override
    def cut(self, start: int, stop: int) -> Producer:
        return Indexed(self._items[start:stop])


class Slices(Producer):
    """An array that is best iterated over by slices, which are views: NumPy's."""

    __slots__ = ("_array",)

    def __init__(self, array: Any) -> None:
        self._array = array
        self.length = len(array)
        self.is_exact = True

    @override
    def leaf(self, start: int, stop: int, gauge: Gauge) -> Iterator[Any]:
        return gauge.over(iter(self._array[start:stop]), start, stop)

    @override
    def cut(self, start: int, stop: int) -> Producer:
        return Slices(self._array[start:stop])


class Bridge(Producer):
    """An iterator. It cannot be cut; workers pull blocks from it, in order.

    The block that a worker has pulled is in its gauge.

    Args:
      iterator: Pulled from by one thread at a time.
      block_length: So many items in each block but the last; None for as many as
        there are within a leaf's time.
    """

    __slots__ = ("block_length", "iterator")

    def __init__(
        self, iterator: Iterator[Any], block_length: int | None = None
    ) -> None:
        self.iterator: Iterator[Any] = iterator
        self.block_length: int | None = block_length
        self.length: int | None = None
        self.is_exact: bool = True

    def pull(self, count: int) -> list[Any]:
        """Return the next items, at most so many; none at the end."""
        if self.block_length is not None:
            return list(islice(self.iterator, self.block_length))
        return list(Leaf(self.iterator, 0, count, LEAF_NS, 1, None, None, False))

    @override
    def leaf(self, start: int, stop: int, gauge: Gauge) -> Iterator[Any]:
        return gauge.over(gauge.block, 0, stop - start)

    @override
    def cut(self, start: int, stop: int) -> Producer:
        return Indexed(self.pull(stop - start))

    @override
    def bridge(self) -> "Bridge":
        return self


class _Stage(Producer):
    """A producer on top of one other."""

    __slots__ = ("_base",)

    def __init__(self, base: Producer) -> None:
        self._base = base
        self.length = base.length
        self.is_exact = base.is_exact

    @override
    def bridge(self) -> Bridge | None:
        return self._base.bridge()


type StageFunction = Callable[[Any, Iterator[Any]], Iterator[Any]]


class Staged(_Stage):
    """A stage that looks at one item at a time: map, filter, ...

    Args:
      base: What it stands on.
      apply: Called as ``apply(fn, iterator)``, such as `mapped`.
      fn: The user's function.
      is_exact: Whether it gives one item for each.
    """

    __slots__ = ("_apply", "_fn")

    def __init__(
        self, base: Producer, apply: StageFunction, fn: Any, is_exact: bool
    ) -> None:
        self._base = base  # no super() here: most chains have one of these at least
        self._apply = apply
        self._fn = fn
        self.length = base.length
        self.is_exact = is_exact and base.is_exact

    @override
    def leaf(self, start: int, stop: int, gauge: Gauge) -> Iterator[Any]:
        return self._apply(gauge.own(self._fn), self._base.leaf(start, stop, gauge))

    @override
    def cut(self, start: int, stop: int) -> Producer:
        base = self._base.cut(start, stop)
        return Staged(base, self._apply, self._fn, self.is_exact)


class FlatMapped(_Stage):
    """The items of what the function returns for each item.

    There may be any number for one position, so they are looked at as those are.
    """

    __slots__ = ("_fn",)

    def __init__(self, base: Producer, fn: Callable[[Any], Any]) -> None:
        super().__init__(base)
        self._fn = fn
        self.is_exact = False

    @override
    def leaf(self, start: int, stop: int, gauge: Gauge) -> Iterator[Any]:
        items = self._base.leaf(start, stop, gauge)
        return flat_mapped(gauge.own(self._fn), items, gauge.within().pace())

    @override
    def cut(self, start: int, stop: int) -> Producer:
        return FlatMapped(self._base.cut(start, stop), self._fn)


class MappedWithScratch(_Stage):
    """``map`` with something that is made once per worker and used again.

    A scratch object is lent to a leaf and given back, so that no two leaves have the
    same, also not where one begins inside the other.
    """

    __slots__ = ("_fn", "_free", "_make")

    def __init__(
        self, base: Producer, make: Callable[[], Any], fn: Callable[[Any, Any], Any]
    ) -> None:
        super().__init__(base)
        self._make = make
        self._fn = fn
        # What is not lent out, by thread; each key is used by its own thread only.
        self._free: dict[int, list[Any]] = {}  # atomic: single operations

    @override
    def leaf(self, start: int, stop: int, gauge: Gauge) -> Iterator[Any]:
        free = self._free.setdefault(get_ident(), [])
        items = self._base.leaf(start, stop, gauge)
        return with_scratch(self._make, gauge.own(self._fn), items, free)

    @override
    def cut(self, start: int, stop: int) -> Producer:
        return MappedWithScratch(self._base.cut(start, stop), self._make, self._fn)


class Enumerated(_Stage):
    """Pairs of number and item."""

    __slots__ = ("_first",)

    def __init__(self, base: Producer, first: int) -> None:
        super().__init__(base)
        self._first = first

    @override
    def leaf(self, start: int, stop: int, gauge: Gauge) -> Iterator[Any]:
        return enumerate(self._base.leaf(start, stop, gauge), self._first + start)

    @override
    def cut(self, start: int, stop: int) -> Producer:
        return Enumerated(self._base.cut(start, stop), self._first + start)


class Sliced(_Stage):
    """Some of the positions: take and skip."""

    __slots__ = ("_offset",)

    def __init__(self, base: Producer, start: int, stop: int) -> None:
        super().__init__(base)
        self._offset = start
        self.length = stop - start

    @override
    def leaf(self, start: int, stop: int, gauge: Gauge) -> Iterator[Any]:
        return self._base.leaf(start + self._offset, stop + self._offset, gauge)

    @override
    def cut(self, start: int, stop: int) -> Producer:
        return self._base.cut(start + self._offset, stop + self._offset)


class Chunked(_Stage):
    """Lists of so many items; the last may be shorter. Its positions are chunks."""

    __slots__ = ("_base_length", "_size")

    def __init__(self, base: Producer, size: int) -> None:
        super().__init__(base)
        assert base.length is not None
        self._size = size
        self._base_length = base.length
        self.length = -(-base.length // size)

    @override
    def leaf(self, start: int, stop: int, gauge: Gauge) -> Iterator[Any]:
        first, last = start * self._size, min(stop * self._size, self._base_length)
        items = self._base.leaf(first, last, gauge.within())
        chunks = map(list, batched(items, self._size, strict=False))
        return gauge.over(chunks, start, stop)

    @override
    def cut(self, start: int, stop: int) -> Producer:
        first, last = start * self._size, min(stop * self._size, self._base_length)
        return Chunked(self._base.cut(first, last), self._size)


class Zipped(Producer):
    """Tuples of one item from each."""

    __slots__ = ("_first", "_others")

    def __init__(self, first: Producer, others: Sequence[Producer]) -> None:
        self._first = first
        self._others = others
        lengths = [producer.length for producer in (first, *others)]
        assert None not in lengths
        self.length = min(length for length in lengths if length is not None)
        self.is_exact = True

    @override
    def leaf(self, start: int, stop: int, gauge: Gauge) -> Iterator[Any]:
        # The gauge ends the first, and zip asks it first.
        inner = gauge.within()
        return zip(
            self._first.leaf(start, stop, gauge),
            *[other.leaf(start, stop, inner) for other in self._others],
            strict=False,
        )

    @override
    def cut(self, start: int, stop: int) -> Producer:
        others = [other.cut(start, stop) for other in self._others]
        return Zipped(self._first.cut(start, stop), others)


class Chained(Producer):
    """One producer after the other. Its positions are theirs, end to end."""

    __slots__ = ("_edges", "_parts")

    def __init__(self, parts: Sequence[Producer]) -> None:
        self._parts = parts
        self._edges = [0]  # where each part begins, and the last ends
        for part in parts:
            assert part.length is not None
            self._edges.append(self._edges[-1] + part.length)
        self.length = self._edges[-1]
        self.is_exact = all(part.is_exact for part in parts)

    @override
    def leaf(self, start: int, stop: int, gauge: Gauge) -> Iterator[Any]:
        inside = [
            (part, begin, end)
            for part, (begin, end) in zip(
                self._parts, pairwise(self._edges), strict=True
            )
            if begin < stop and end > start
        ]
        if gauge.ends_leaves:
            inside = inside[:1]  # a leaf may end early, and so it does
        return chain.from_iterable(
            part.leaf(max(start, begin) - begin, min(stop, end) - begin, gauge)
            for part, begin, end in inside
        )

    @override
    def cut(self, start: int, stop: int) -> Producer:
        return Chained(
            [
                part.cut(max(start, begin) - begin, min(stop, end) - begin)
                for part, (begin, end) in zip(
                    self._parts, pairwise(self._edges), strict=True
                )
                if begin < stop and end > start
            ]
        )


class Blocked(_Stage):
    """Fixed blocks of positions, each reduced to a list of at most one item.

    The same blocks on any number of workers, so a `reduce` over them has one result.
    """

    __slots__ = ("_base_length", "_fn")

    BLOCK = 1024  # arbitrary; a change changes results

    def __init__(self, base: Producer, fn: Callable[[Any, Any], Any]) -> None:
        super().__init__(base)
        self._fn = fn
        self._base_length = base.length
        if base.length is not None:
            self.length = -(-base.length // self.BLOCK)

    @override
    def leaf(self, start: int, stop: int, gauge: Gauge) -> Iterator[Any]:
        if self._base_length is None:  # pulled as one block
            return iter([self._reduced(self._base.leaf(start, stop, gauge))])
        reduced = partial(self._reduced_block, gauge.within())
        return gauge.over(mapped(reduced, iter(range(start, stop))), start, stop)

    @override
    def cut(self, start: int, stop: int) -> Producer:
        first, last = start * self.BLOCK, stop * self.BLOCK
        if self._base_length is not None:
            last = min(last, self._base_length)
        elif (bridge := self._base.bridge()) is not None:
            bridge.block_length = last - first  # whole blocks, however slow it is
        return Blocked(self._base.cut(first, last), self._fn)

    @override
    def bridge(self) -> Bridge | None:
        bridge = self._base.bridge()
        return None if bridge is None else Bridge(bridge.iterator, self.BLOCK)

    def _reduced_block(self, gauge: Gauge, number: int) -> list[Any]:
        assert self._base_length is not None
        start = number * self.BLOCK
        stop = min(start + self.BLOCK, self._base_length)
        return self._reduced(self._base.leaf(start, stop, gauge))

    def _reduced(self, items: Iterator[Any]) -> list[Any]:
        for first in items:
            return [folded(self._fn, items, first)]
        return []
