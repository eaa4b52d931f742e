"""What a chain comes to: one accumulator per piece, combined in the input's order.

A terminal is three small functions. ``step(total, items)`` folds the items of a leaf
into a piece's total, with builtins wherever there is one; the first leaf's total
is `NOTHING`. ``combine(left, right)`` puts two totals together, the left one from
earlier positions. ``finish(total)`` makes the answer.

Some need not see every item: they set ``is_decided`` or say from which position on
items matter no more.

Layer: iter.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from functools import reduce
from typing import Any, Literal, override

from .._core import CancelToken, StopRaised
from .._errors import JobCancelled, JobInterrupted
from .._unawaited import UNAWAITED
from .._util import called, refuse_coroutine

__all__ = (
    "NOTHING",
    "All",
    "Any_",
    "Collect",
    "Count",
    "CountEach",
    "Extreme",
    "Find",
    "Fold",
    "ForEach",
    "Partition",
    "Position",
    "Reduce",
    "ReduceBlocks",
    "Sum",
    "Terminal",
    "ToDict",
    "ToSet",
    "as_raised",
    "folded",
)


class _Nothing(Enum):
    NOTHING = "nothing"


# Where there is no value, which is not None.
NOTHING = _Nothing.NOTHING


class Terminal:
    """What becomes of the items.

    Thread safety: internally synchronized; `step` and `combine` run on several workers
    at once.
    """

    # How reports and errors call it.
    name = ""
    # The user's functions that `step` calls.
    functions: tuple[Any, ...] = ()
    # Whether the answer is known, so that all may stop.
    is_decided = False

    def step(self, total: Any, items: Iterator[Any], position: "Position") -> Any:
        """Fold a leaf's items into the total."""
        raise NotImplementedError

    def combine(self, left: Any, right: Any) -> Any:
        """Put two totals together; neither is `NOTHING`."""
        raise NotImplementedError

    def finish(self, total: Any) -> Any:
        """Make the answer; the total of an empty input is `NOTHING`."""
        return total

    def failed(self, errors: list[BaseException]) -> BaseExceptionGroup:
        """Return what the terminal raises for the failures in a chain."""
        count = "1 item" if len(errors) == 1 else f"{len(errors)} items"
        return BaseExceptionGroup(f"in {self.name}(): {count} failed", errors)

    def _finished(self, fn: Callable[..., Any], *args: Any) -> Any:
        """Call a function of the user's that the answer is made with."""
        try:
            return called(fn, *args)
        except (JobCancelled, JobInterrupted):
            raise
        except BaseException as error:  # an outcome like an item's
            raise self.failed([error]) from None

    def wants(self, _start: int) -> bool:
        """Return whether items from this position on can still matter."""
        return True

    def token_for(self, _start: int) -> CancelToken | None:
        """Return what is set when items from this position on matter no more.

        None where that never happens before the whole chain is stopped.
        """
        return None

    def stop(self) -> None:
        """Set all those tokens: the chain is stopped."""

    def is_decided_by(self, _total: Any) -> bool:
        """Take note of a total from elsewhere; return whether the answer is known.

        Totals come in the order of their positions.
        """
        return False


def folded(fn: Callable[[Any, Any], Any], items: Iterator[Any], total: Any) -> Any:
    """Return what `reduce` does, after a look at whether the function is async."""
    for item in items:
        total = fn(total, item)
        if type(total) in UNAWAITED:
            refuse_coroutine(fn, total)
        return reduce(fn, items, total)
    return total


def as_raised(error: BaseException) -> BaseException:
    """Return an error as the user's code raised it."""
    return error.args[0] if type(error) is StopRaised else error


class Position:
    """Tells where the item that came last was; what a piece knows of itself."""

    def current(self) -> int:
        """Return the position of the last item that was taken."""
        raise NotImplementedError


def _consume(items: Iterable[object]) -> None:
    deque(items, maxlen=0)


class ForEach(Terminal):
    """Call a function for its effect; the stage below does it."""

    name = "for_each"

    @override
    def step(self, total: Any, items: Iterator[Any], position: Position) -> None:
        _consume(items)

    @override
    def combine(self, left: Any, right: Any) -> None:
        return None

    @override
    def finish(self, total: Any) -> None:
        return None


class Sum(Terminal):
    """`sum`."""

    name = "sum"

    def __init__(self, start: Any) -> None:
        self._start = start

    @override
    def step(self, total: Any, items: Iterator[Any], position: Position) -> Any:
        if total is NOTHING:
            total = next(items, NOTHING)
        return total if total is NOTHING else sum(items, total)

    @override
    def combine(self, left: Any, right: Any) -> Any:
        return left + right

    @override
    def finish(self, total: Any) -> Any:
        if total is NOTHING:
            return self._start
        try:
            return self._start + total
        except (JobCancelled, JobInterrupted):
            raise
        except BaseException as error:  # an outcome, and not worth a call to catch
            raise self.failed([error]) from None


class Count(Terminal):
    """How many items there are."""

    name = "count"

    @override
    def step(self, total: Any, items: Iterator[Any], position: Position) -> int:
        last = deque(enumerate(items, 1), maxlen=1)
        count: int = last[0][0] if last else 0
        return count if total is NOTHING else count + total

    @override
    def combine(self, left: int, right: int) -> int:
        return left + right

    @override
    def finish(self, total: Any) -> int:
        return 0 if total is NOTHING else total


class Collect(Terminal):
    """`list`. A total is a list of lists, so that nothing is copied on the way."""

    name = "collect"

    @override
    def step(
        self, total: Any, items: Iterator[Any], position: Position
    ) -> list[list[Any]]:
        if total is NOTHING:
            return [list(items)]
        total[-1].extend(items)
        return total  # type: ignore[no-any-return]  # made above

    @override
    def combine(self, left: list[list[Any]], right: list[list[Any]]) -> list[list[Any]]:
        left.extend(right)
        return left

    @override
    def finish(self, total: Any) -> list[Any]:
        if total is NOTHING:
            return []
        answer: list[Any] = total[0]
        for part in total[1:]:
            answer += part
        return answer


class _Into(Terminal):
    """Into one container, with its own ``update``."""

    container: type[Any]

    @override
    def step(self, total: Any, items: Iterator[Any], position: Position) -> Any:
        if total is NOTHING:
            total = self.container()
        total.update(items)
        return total

    @override
    def combine(self, left: Any, right: Any) -> Any:
        left.update(right)
        return left

    @override
    def finish(self, total: Any) -> Any:
        return self.container() if total is NOTHING else total


class ToDict(_Into):
    """`dict`, from pairs: the last of equal keys wins, as there."""

    name = "collect"
    container = dict


class ToSet(_Into):
    """`set`."""

    name = "collect"
    container = set


class CountEach(_Into):
    """`collections.Counter`."""

    name = "counter"
    container = Counter


class Reduce(Terminal):
    """`functools.reduce` with an associative function."""

    name = "reduce"

    def __init__(self, fn: Callable[[Any, Any], Any], initial: Any) -> None:
        self._fn = fn
        self._initial = initial
        self.functions = (fn,)

    @override
    def step(self, total: Any, items: Iterator[Any], position: Position) -> Any:
        if total is NOTHING:
            total = next(items, NOTHING)
        if total is not NOTHING:
            total = folded(self._fn, items, total)
        return total

    @override
    def combine(self, left: Any, right: Any) -> Any:
        return called(self._fn, left, right)

    @override
    def finish(self, total: Any) -> Any:
        if self._initial is NOTHING:
            if total is NOTHING:
                raise TypeError("reduce() of an empty chain with no initial value")
            return total
        if total is NOTHING:
            return self._initial
        return self._finished(self._fn, self._initial, total)


class ReduceBlocks(Reduce):
    """`Reduce` of blocks that were each reduced to a list of one; see `Blocked`."""

    name = "reduce_deterministic"

    @override
    def step(self, total: Any, items: Iterator[Any], position: Position) -> Any:
        parts: list[Any] = [] if total is NOTHING else total
        for block in items:
            parts += block
        return parts

    @override
    def combine(self, left: Any, right: Any) -> Any:
        left += right
        return left

    @override
    def finish(self, total: Any) -> Any:
        if total and total is not NOTHING:
            return super().finish(self._finished(reduce, self._fn, total))
        return super().finish(NOTHING)


class Fold(Terminal):
    """Each piece folds into a total of its own; the totals are combined."""

    name = "fold"

    def __init__(
        self,
        make: Callable[[], Any],
        step: Callable[[Any, Any], Any],
        combine: Callable[[Any, Any], Any],
    ) -> None:
        self._make = make
        self._step = step
        self._combine = combine
        self.functions = step, combine

    @override
    def step(self, total: Any, items: Iterator[Any], position: Position) -> Any:
        if total is NOTHING:
            total = called(self._make)
        return folded(self._step, items, total)

    @override
    def combine(self, left: Any, right: Any) -> Any:
        return called(self._combine, left, right)

    @override
    def finish(self, total: Any) -> Any:
        return self._finished(self._make) if total is NOTHING else total


class Extreme(Terminal):
    """`min` or `max`. A total is the item and its key; the first of equals stays."""

    def __init__(
        self,
        name: Literal["min", "max"],
        key: Callable[[Any], Any] | None,
        default: Any,
    ) -> None:
        self.name = name
        self._choose: Callable[..., Any] = min if name == "min" else max
        self._key = key
        self.functions = (key,)
        self._default = default

    @override
    def step(self, total: Any, items: Iterator[Any], position: Position) -> Any:
        best = self._choose(items, key=self._key, default=NOTHING)
        if best is NOTHING:
            return total
        found = best, best if self._key is None else self._key(best)
        return found if total is NOTHING else self.combine(total, found)

    @override
    def combine(self, left: tuple[Any, Any], right: tuple[Any, Any]) -> Any:
        is_better = right[1] < left[1] if self.name == "min" else right[1] > left[1]
        return right if is_better else left

    @override
    def finish(self, total: Any) -> Any:
        if total is not NOTHING:
            return total[0]
        if self._default is NOTHING:
            raise ValueError(f"{self.name}() of an empty chain with no default")
        return self._default


class Any_(Terminal):
    """`any`: the first true item decides."""

    name = "any"

    @override
    def step(self, total: Any, items: Iterator[Any], position: Position) -> bool:
        if any(items):
            self.is_decided = True
        return self.is_decided

    @override
    def combine(self, left: bool, right: bool) -> bool:
        return left or right

    @override
    def is_decided_by(self, total: Any) -> bool:
        self.is_decided = total is True
        return self.is_decided

    @override
    def finish(self, total: Any) -> bool:
        return self.is_decided


class All(Terminal):
    """`all`: the first false item decides."""

    name = "all"

    @override
    def step(self, total: Any, items: Iterator[Any], position: Position) -> bool:
        if not all(items):
            self.is_decided = True
        return not self.is_decided

    @override
    def combine(self, left: bool, right: bool) -> bool:
        return left and right

    @override
    def is_decided_by(self, total: Any) -> bool:
        self.is_decided = total is False
        return self.is_decided

    @override
    def finish(self, total: Any) -> bool:
        return not self.is_decided


class Find(Terminal):
    """The first item of all, or the first that anybody comes across.

    A total is its position and the item.
    """

    def __init__(self, name: str, default: Any, *, is_any: bool, gives: int) -> None:
        self.name = name
        self._default = default
        self._is_any = is_any
        self._gives = gives  # 0 for the position, 1 for the item
        # RACE: two pieces may write one after the other, and the later of the two
        # positions stay; then more is looked at than must be.
        self._best = float("inf")
        # Where pieces begin, and what stops them.
        self._tokens: list[tuple[int, CancelToken]] = []  # atomic: append, copy

    @override
    def step(self, total: Any, items: Iterator[Any], position: Position) -> Any:
        for item in items:
            found = position.current()
            if self._is_any:
                self.is_decided = True
            if found < self._best:
                self._best = found
                self._stop_from(found + 1)
            return found, item
        return total

    @override
    def combine(self, left: tuple[int, Any], right: tuple[int, Any]) -> Any:
        return min(left, right, key=_first)

    @override
    def wants(self, start: int) -> bool:
        return start < self._best

    @override
    def token_for(self, start: int) -> CancelToken | None:
        if self._is_any:
            return None
        token = CancelToken()
        # ORDER: in the list before the look, as `step` writes before it reads the list.
        self._tokens.append((start, token))
        token.is_set = not self.wants(start)
        return token

    @override
    def stop(self) -> None:
        self._stop_from(0)

    def _stop_from(self, position: int) -> None:
        for start, token in self._tokens.copy():
            if start >= position:
                token.is_set = True

    @override
    def is_decided_by(self, total: Any) -> bool:
        return total is not NOTHING

    @override
    def finish(self, total: Any) -> Any:
        return self._default if total is NOTHING else total[self._gives]


def _first(pair: tuple[int, Any]) -> int:
    return pair[0]


class Partition(Terminal):
    """Two lists: what the predicate holds for, and the rest."""

    name = "partition"

    def __init__(self, predicate: Callable[[Any], object]) -> None:
        self._predicate = predicate
        self.functions = (predicate,)

    @override
    def step(self, total: Any, items: Iterator[Any], position: Position) -> Any:
        if total is NOTHING:
            total = [], []
        chosen, rest = total[0].append, total[1].append
        predicate = self._predicate
        for item in items:
            verdict = predicate(item)
            if verdict is True:  # nearly always one of these two
                chosen(item)
            elif verdict is False:
                rest(item)
            else:
                if type(verdict) in UNAWAITED:
                    refuse_coroutine(predicate, verdict)
                (chosen if verdict else rest)(item)
        return total

    @override
    def combine(self, left: Any, right: Any) -> Any:
        left[0].extend(right[0])
        left[1].extend(right[1])
        return left

    @override
    def finish(self, total: Any) -> Any:
        return ([], []) if total is NOTHING else total
