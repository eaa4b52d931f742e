"""`runtime.par_iter`: a chain of adaptors, ended by a terminal.

A chain is a description; nothing runs before its terminal. What runs then is told in
PLUMBING.md.

The class is one for both worlds: its second parameter says whether a terminal blocks
and returns the answer, or returns something to await.

This file is long because the public docstrings are; there is little code in it.

Layer: iter.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator
from types import FunctionType
from typing import Any, Literal, overload

from .._core import filter_mapped, filtered, inspected, mapped, star_mapped
from .._util import IS_ASYNC
from .checks import SURELY_SYNC, check_callable, check_number
from .compose import chained, check_exact, chunked, enumerated, sliced, zipped
from .drive import run_chain
from .place import run_on_worker, worker_here
from .producers import Blocked, FlatMapped, MappedWithScratch, Producer, Staged
from .progress import Bar
from .sources import producer_of
from .terminals import (
    NOTHING,
    All,
    Any_,
    Collect,
    Count,
    CountEach,
    Extreme,
    Find,
    Fold,
    ForEach,
    Partition,
    Reduce,
    ReduceBlocks,
    Sum,
    Terminal,
    ToDict,
    ToSet,
)
from .unfinished import Runner, Unfinished
from .written import BEGINNING, Steps, written

__all__ = ("Awaiting", "Blocking", "ParIter", "awaited_chain", "par_iter")


class Blocking:
    """Marks a chain whose terminals block: made by `par_iter`."""


class Awaiting:
    """Marks a chain whose terminals are awaited: made by `WorkerPool.par_iter`."""


def par_iter[T](data: Iterable[T]) -> "ParIter[T]":
    """Begin a parallel chain over the items of ``data``::

        runtime.par_iter(range(1000)).map(cost).filter(is_even).sum()

    The chain splits itself while it runs: into fine pieces only where another worker
    has nothing to do, and not at all if the work is too small to gain. There is no
    chunk size to choose.

    Inside a job, and in a plain thread inside `open_sync_pool`. On a pool the async
    twin is `WorkerPool.par_iter`. A job of a pool of interpreters shares its objects
    with no other worker: there the chain runs in the job's thread alone, and to use all
    workers it is begun on the pool.

    The functions see a copy of the caller's context variables for each piece of the
    chain: what one sets there is seen by later items of its piece, which vary.

    Args:
      data: A list, a tuple, a range, a string, an array (NumPy's are iterated over by
        slices, without copying) or another sequence, which is used where it is; a set,
        a dict or a view, which is made into a list first; or any iterator, such as an
        open file, from which the workers pull in order. It must not change meanwhile.
    """
    return ParIter(producer_of(data), _run_here, BEGINNING)


def _run_here(
    steps: Steps,
    producer: Producer,
    terminal: Terminal,
    min_length: int,
    progress: Bar | None,
) -> Any:
    if worker_here() is not None:
        return run_chain(producer, terminal, min_length, progress)
    return run_on_worker(
        written("runtime", steps, terminal.name),
        f"await {written('pool', steps, terminal.name)}",
        run_chain,
        producer,
        terminal,
        min_length,
        progress,
    )


class ParIter[T, M = Blocking](Unfinished):
    """A parallel chain; made by `par_iter` or `WorkerPool.par_iter`.

    Adaptors (`map`, `filter`, ...) return a new chain. Terminals (`sum`, `collect`,
    ...) run it: on a chain made by `par_iter` they return the answer, on one made by
    `WorkerPool.par_iter` they are awaited.

    If functions fail, what has not begun is not begun any more, and the terminal
    raises the errors in an `ExceptionGroup`, even a single one, in input order. If
    the job is asked to stop, the terminal raises `JobCancelled`.

    Thread safety: immutable. Over an iterator a chain can run once.
    """

    __slots__ = ("_options", "_producer", "_runner", "_steps")

    def __init__(
        self,
        producer: Producer,
        runner: Runner,
        steps: Steps,
        options: tuple[int, str | None] = (1, None),
    ) -> None:
        self._producer = producer
        self._runner = runner
        self._steps = steps
        self._options = options  # of with_min_len() and progress()

    def __repr__(self) -> str:
        return f"<{written('runtime', self._steps)}>"

    def _steps_so_far(self) -> str:
        owner = "runtime" if self._runner is _run_here else "await pool"
        return written(owner, self._steps)

    # Adaptors

    def map[R](self, fn: Callable[[T], R]) -> "ParIter[R, M]":
        """Replace each item by ``fn(item)``."""
        return self._staged("map", mapped, fn, True)

    def starmap[R](self, fn: Callable[..., R]) -> "ParIter[R, M]":
        """Replace each item by ``fn(*item)``."""
        return self._staged("starmap", star_mapped, fn, True)

    def filter(self, predicate: Callable[[T], object] | None) -> "ParIter[T, M]":
        """Keep the items for which ``predicate(item)`` is true.

        With None, keep the true items, as the builtin does.
        """
        return self._staged("filter", filtered, predicate, False)

    def filter_map[R](self, fn: Callable[[T], R | None]) -> "ParIter[R, M]":
        """Replace each item by ``fn(item)`` and drop what is None."""
        return self._staged("filter_map", filter_mapped, fn, False)

    def flat_map[R](self, fn: Callable[[T], Iterable[R]]) -> "ParIter[R, M]":
        """Replace each item by the items of ``fn(item)``."""
        check_callable("flat_map", fn)
        return self._on(FlatMapped(self._producer, fn), "flat_map", fn)

    def inspect(self, fn: Callable[[T], object]) -> "ParIter[T, M]":
        """Call ``fn(item)`` for each item that passes, and pass it on."""
        return self._staged("inspect", inspected, fn, True)

    def map_init[S, R](
        self, make: Callable[[], S], fn: Callable[[S, T], R]
    ) -> "ParIter[R, M]":
        """Replace each item by ``fn(scratch, item)``.

        Args:
          make: Makes a scratch object. It is called a few times per worker, and no two
            calls of ``fn`` that run at the same time get the same object.
          fn: Must not depend on what other items left in the scratch object.
        """
        check_callable("map_init", make)
        check_callable("map_init", fn)
        return self._on(MappedWithScratch(self._producer, make, fn), "map_init", fn)

    def enumerate(self, start: int = 0) -> "ParIter[tuple[int, T], M]":
        """Pair each item with its number.

        Raises:
          TypeError: the number is unknown: after `filter`, `filter_map` or `flat_map`.
        """
        return self._on(enumerated(self._producer, start), "enumerate", None)

    def zip(self, *others: Iterable[Any]) -> "ParIter[Any, M]":
        """Make tuples of one item from each; ends with the shortest.

        Args:
          others: What `par_iter` takes, or chains.

        Raises:
          TypeError: one of the chains has no positions: after `filter`, `filter_map` or
            `flat_map`, or after an adaptor on an iterator.
        """
        return self._on(zipped([self._producer, *_producers(others)]), "zip", ...)

    def chain[R](self, *others: "Iterable[R] | ParIter[R, Any]") -> "ParIter[T | R, M]":
        """Append the items of others.

        Args:
          others: What `par_iter` takes, or chains.

        Raises:
          TypeError: one of them is an adaptor on an iterator, whose length is unknown.
        """
        return self._on(chained([self._producer, *_producers(others)]), "chain", ...)

    def chunks(self, size: int) -> "ParIter[list[T], M]":
        """Make lists of ``size`` items, at least 1; the last may be shorter.

        Raises:
          TypeError: the items have no positions: after `filter`, `filter_map` or
            `flat_map`, or after an adaptor on an iterator.
        """
        check_number(size, 1, "size")
        return self._on(chunked(self._producer, size), "chunks", size)

    def take(self, count: int) -> "ParIter[T, M]":
        """Keep the first ``count`` items.

        Raises:
          TypeError: as for `chunks`.
        """
        check_number(count, 0, "count")
        return self._on(sliced("take", self._producer, 0, count), "take", count)

    def skip(self, count: int) -> "ParIter[T, M]":
        """Drop the first ``count`` items.

        Raises:
          TypeError: as for `chunks`.
        """
        check_number(count, 0, "count")
        return self._on(sliced("skip", self._producer, count, None), "skip", count)

    def with_min_len(self, length: int) -> "ParIter[T, M]":
        """Cut no piece into pieces of fewer than ``length`` items.

        Hardly ever needed: for functions that are much faster on a run of items.
        """
        check_number(length, 1, "length")
        steps = (self._steps, "with_min_len", length)
        options = length, self._options[1]
        return ParIter(self._producer, self._runner, steps, options)

    def progress(self, label: str) -> "ParIter[T, M]":
        """Show one bar on the terminal while the chain runs.

        On standard error, and only if that is a terminal.
        """
        steps = (self._steps, "progress", label)
        options = self._options[0], label
        return ParIter(self._producer, self._runner, steps, options)

    # Terminals

    @overload
    def for_each(self: "ParIter[T, Blocking]", fn: Callable[[T], object]) -> None: ...
    @overload
    def for_each(
        self: "ParIter[T, Awaiting]", fn: Callable[[T], object]
    ) -> Awaitable[None]: ...
    def for_each(self, fn: Callable[[T], object]) -> Any:
        """Call ``fn(item)`` for each item, in no order."""
        return self._run(ForEach(), self._stage("for_each", mapped, fn))

    @overload
    def collect(self: "ParIter[T, Blocking]") -> list[T]: ...
    @overload
    def collect(self: "ParIter[T, Awaiting]") -> Awaitable[list[T]]: ...
    @overload
    def collect[C](self: "ParIter[T, Blocking]", into: type[C]) -> C: ...
    @overload
    def collect[C](self: "ParIter[T, Awaiting]", into: type[C]) -> Awaitable[C]: ...
    def collect(self, into: type = list) -> Any:
        """Return the items in a `list`, in input order, or in a `set` or a `dict`.

        For a `dict` the items are pairs; of equal keys the last one's value stays.
        """
        if into not in _CONTAINERS:
            raise TypeError(f"collect() makes a list, a set or a dict, not {into!r}")
        return self._run(_CONTAINERS[into]())

    @overload
    def reduce(
        self: "ParIter[T, Blocking]", fn: Callable[[T, T], T], initial: T = ...
    ) -> T: ...
    @overload
    def reduce(
        self: "ParIter[T, Awaiting]", fn: Callable[[T, T], T], initial: T = ...
    ) -> Awaitable[T]: ...
    def reduce(self, fn: Callable[[T, T], T], initial: Any = NOTHING) -> Any:
        """Combine the items to one, as `functools.reduce` does.

        Args:
          fn: Must be associative: ``fn(fn(a, b), c)`` equal to ``fn(a, fn(b, c))``.
            Floats are not, to the last bit: `reduce_deterministic`.
          initial: Comes before the items; without it an empty chain is a TypeError.
        """
        check_callable("reduce", fn)
        return self._run(Reduce(fn, initial))

    @overload
    def reduce_deterministic(
        self: "ParIter[T, Blocking]", fn: Callable[[T, T], T], initial: T = ...
    ) -> T: ...
    @overload
    def reduce_deterministic(
        self: "ParIter[T, Awaiting]", fn: Callable[[T, T], T], initial: T = ...
    ) -> Awaitable[T]: ...
    def reduce_deterministic(
        self, fn: Callable[[T, T], T], initial: Any = NOTHING
    ) -> Any:
        """Combine the items to one, always in the same grouping.

        Blocks of 1024 positions are reduced from left to right, then their results are.
        So the result is the same to the last bit whatever the schedule and the number
        of workers, also for a function that is not quite associative, such as the
        addition of floats.

        Args:
          fn: As for `reduce`.
          initial: As for `reduce`.
        """
        check_callable("reduce_deterministic", fn)
        return self._run(ReduceBlocks(fn, initial), Blocked(self._producer, fn))

    @overload
    def fold[A](
        self: "ParIter[T, Blocking]",
        make: Callable[[], A],
        step: Callable[[A, T], A],
        combine: Callable[[A, A], A],
    ) -> A: ...
    @overload
    def fold[A](
        self: "ParIter[T, Awaiting]",
        make: Callable[[], A],
        step: Callable[[A, T], A],
        combine: Callable[[A, A], A],
    ) -> Awaitable[A]: ...
    def fold(
        self,
        make: Callable[[], Any],
        step: Callable[[Any, T], Any],
        combine: Callable[[Any, Any], Any],
    ) -> Any:
        """Fold the items of each piece into an accumulator and combine those.

        Args:
          make: Makes an accumulator that changes nothing when it is combined.
          step: ``step(accumulator, item)`` returns the accumulator with the item in it.
          combine: Puts two accumulators together, the left one of earlier items.
        """
        for fn in (make, step, combine):
            check_callable("fold", fn)
        return self._run(Fold(make, step, combine))

    @overload
    def sum(self: "ParIter[T, Blocking]", start: Any = 0) -> T: ...
    @overload
    def sum(self: "ParIter[T, Awaiting]", start: Any = 0) -> Awaitable[T]: ...
    def sum(self, start: Any = 0) -> Any:
        """Return ``start`` plus all items.

        Floats are added in an order that differs from run to run, so the last bits
        may; `reduce_deterministic` gives the same bits every time.
        """
        return self._run(Sum(start))

    @overload
    def count(self: "ParIter[T, Blocking]") -> int: ...
    @overload
    def count(self: "ParIter[T, Awaiting]") -> Awaitable[int]: ...
    def count(self) -> Any:
        """Return how many items come out; the functions of the chain are called."""
        return self._run(Count())

    @overload
    def counter(self: "ParIter[T, Blocking]") -> Counter[T]: ...
    @overload
    def counter(self: "ParIter[T, Awaiting]") -> Awaitable[Counter[T]]: ...
    def counter(self) -> Any:
        """Return how often each item comes out, as a `collections.Counter`."""
        return self._run(CountEach())

    @overload
    def min(
        self: "ParIter[T, Blocking]",
        key: Callable[[T], Any] | None = None,
        *,
        default: T = ...,
    ) -> T: ...
    @overload
    def min(
        self: "ParIter[T, Awaiting]",
        key: Callable[[T], Any] | None = None,
        *,
        default: T = ...,
    ) -> Awaitable[T]: ...
    def min(
        self, key: Callable[[T], Any] | None = None, *, default: Any = NOTHING
    ) -> Any:
        """Return the smallest item, the first of several.

        Args:
          key: Compare ``key(item)``.
          default: For an empty chain, which else is a ValueError.
        """
        return self._extreme("min", key, default)

    @overload
    def max(
        self: "ParIter[T, Blocking]",
        key: Callable[[T], Any] | None = None,
        *,
        default: T = ...,
    ) -> T: ...
    @overload
    def max(
        self: "ParIter[T, Awaiting]",
        key: Callable[[T], Any] | None = None,
        *,
        default: T = ...,
    ) -> Awaitable[T]: ...
    def max(
        self, key: Callable[[T], Any] | None = None, *, default: Any = NOTHING
    ) -> Any:
        """Return the largest item, the first of several; otherwise as `min`."""
        return self._extreme("max", key, default)

    @overload
    def any(
        self: "ParIter[T, Blocking]", predicate: Callable[[T], object] | None = None
    ) -> bool: ...
    @overload
    def any(
        self: "ParIter[T, Awaiting]", predicate: Callable[[T], object] | None = None
    ) -> Awaitable[bool]: ...
    def any(self, predicate: Callable[[T], object] | None = None) -> Any:
        """Return whether ``predicate(item)`` is true for any item; stops early.

        Without a predicate, whether any item is true.
        """
        return self._run(Any_(), self._tested("any", predicate))

    @overload
    def all(
        self: "ParIter[T, Blocking]", predicate: Callable[[T], object] | None = None
    ) -> bool: ...
    @overload
    def all(
        self: "ParIter[T, Awaiting]", predicate: Callable[[T], object] | None = None
    ) -> Awaitable[bool]: ...
    def all(self, predicate: Callable[[T], object] | None = None) -> Any:
        """Return whether ``predicate(item)`` is true for all items; stops early.

        Without a predicate, whether all items are true.
        """
        return self._run(All(), self._tested("all", predicate))

    @overload
    def find_any(
        self: "ParIter[T, Blocking]",
        predicate: Callable[[T], object],
        default: T | None = None,
    ) -> T | None: ...
    @overload
    def find_any(
        self: "ParIter[T, Awaiting]",
        predicate: Callable[[T], object],
        default: T | None = None,
    ) -> Awaitable[T | None]: ...
    def find_any(self, predicate: Callable[[T], object], default: Any = None) -> Any:
        """Return some item for which ``predicate(item)`` is true; stops early.

        Which one it is may differ from run to run.
        """
        find = Find("find_any", default, is_any=True, gives=1)
        return self._run(find, self._stage(find.name, filtered, predicate))

    @overload
    def find_first(
        self: "ParIter[T, Blocking]",
        predicate: Callable[[T], object],
        default: T | None = None,
    ) -> T | None: ...
    @overload
    def find_first(
        self: "ParIter[T, Awaiting]",
        predicate: Callable[[T], object],
        default: T | None = None,
    ) -> Awaitable[T | None]: ...
    def find_first(self, predicate: Callable[[T], object], default: Any = None) -> Any:
        """Return the first item for which ``predicate(item)`` is true; stops early."""
        find = Find("find_first", default, is_any=False, gives=1)
        return self._run(find, self._stage(find.name, filtered, predicate))

    @overload
    def position(
        self: "ParIter[T, Blocking]", predicate: Callable[[T], object]
    ) -> int | None: ...
    @overload
    def position(
        self: "ParIter[T, Awaiting]", predicate: Callable[[T], object]
    ) -> Awaitable[int | None]: ...
    def position(self, predicate: Callable[[T], object]) -> Any:
        """Return the number of the first item for which ``predicate(item)`` is true.

        None if there is no such item.

        Raises:
          TypeError: as for `enumerate`.
        """
        check_exact("position", self._producer)
        find = Find("position", None, is_any=False, gives=0)
        return self._run(find, self._stage(find.name, filtered, predicate))

    @overload
    def partition(
        self: "ParIter[T, Blocking]", predicate: Callable[[T], object]
    ) -> tuple[list[T], list[T]]: ...
    @overload
    def partition(
        self: "ParIter[T, Awaiting]", predicate: Callable[[T], object]
    ) -> Awaitable[tuple[list[T], list[T]]]: ...
    def partition(self, predicate: Callable[[T], object]) -> Any:
        """Return the items for which ``predicate(item)`` is true, and the others.

        Both lists are in input order.
        """
        check_callable("partition", predicate)
        return self._run(Partition(predicate))

    # What these share

    def _extreme(self, name: Literal["min", "max"], key: Any, default: Any) -> Any:
        if key is not None:
            check_callable(name, key)
        return self._run(Extreme(name, key, default))

    def _run(self, terminal: Terminal, producer: Producer | None = None) -> Any:
        if producer is None:
            producer = self._producer
        min_length, label = self._options
        progress = None if label is None else Bar(label, producer.length)
        return self._runner(self._steps, producer, terminal, min_length, progress)

    def _on(self, producer: Producer, name: str, argument: object) -> "ParIter[Any, M]":
        steps = (self._steps, name, argument)
        return ParIter(producer, self._runner, steps, self._options)

    def _staged(
        self, name: str, apply: Any, fn: Any, is_exact: bool
    ) -> "ParIter[Any, M]":
        # `_stage` and `_on` in one, for short chains.
        if type(fn) is FunctionType:
            if fn.__code__.co_flags & IS_ASYNC:
                check_callable(name, fn)
        elif type(fn) not in SURELY_SYNC and (fn is not None or name != "filter"):
            check_callable(name, fn)
        staged = Staged(self._producer, apply, fn, is_exact)
        return ParIter(staged, self._runner, (self._steps, name, fn), self._options)

    def _stage(self, name: str, apply: Any, fn: Any) -> Producer:
        check_callable(name, fn)
        return Staged(self._producer, apply, fn, True)

    def _tested(self, name: str, predicate: Callable[[T], object] | None) -> Producer:
        if predicate is None:
            return self._producer
        return self._stage(name, mapped, predicate)


_CONTAINERS: dict[type, type[Terminal]] = {list: Collect, set: ToSet, dict: ToDict}


def _producers(others: Iterable[Any]) -> Iterator[Producer]:
    """Yield the producers of what `par_iter` takes, or of chains."""
    for other in others:
        if isinstance(other, ParIter):
            yield other._producer  # noqa: SLF001  # of the class above
        else:
            yield producer_of(other)


def awaited_chain(producer: Producer, runner: Runner) -> "ParIter[Any, Awaiting]":
    """Begin a chain whose terminals are awaited."""
    return ParIter(producer, runner, BEGINNING)
