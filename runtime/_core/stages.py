"""The stages that call the user's function, item by item, lazily.

They are the builtins of the same name, but for two things. A `StopIteration` out of the
function is an error and not the end of the items (`signals`). So is what is to be
awaited: the function was async, and has done nothing.

Layer: core.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from operator import itemgetter

from .._unawaited import UNAWAITED
from .._util import refuse_coroutine
from .leaf import Leaf
from .signals import StopRaised

__all__ = (
    "filter_mapped",
    "filtered",
    "flat_mapped",
    "inspected",
    "mapped",
    "star_mapped",
)


def mapped[T, R](fn: Callable[[T], R], items: Iterator[T], /) -> Iterator[R]:
    """Yield ``fn(item)`` for each item."""
    for item in items:
        try:
            value = fn(item)
        except StopIteration as error:
            raise StopRaised(error) from None
        if type(value) in UNAWAITED:
            refuse_coroutine(fn, value)
        yield value


def star_mapped[R](
    fn: Callable[..., R], items: Iterator[Iterable[object]], /
) -> Iterator[R]:
    """Yield ``fn(*item)`` for each item."""
    for item in items:
        try:
            value = fn(*item)
        except StopIteration as error:
            raise StopRaised(error) from None
        if type(value) in UNAWAITED:
            refuse_coroutine(fn, value)
        yield value


def filtered[T](
    predicate: Callable[[T], object] | None, items: Iterator[T], /
) -> Iterator[T]:
    """Yield the items for which the predicate holds; with None, those that are true."""
    for item in items:
        try:
            verdict = item if predicate is None else predicate(item)
            is_chosen = bool(verdict)
        except StopIteration as error:
            raise StopRaised(error) from None
        if type(verdict) in UNAWAITED and predicate is not None:
            refuse_coroutine(predicate, verdict)
        if is_chosen:
            yield item


def filter_mapped[T, R](
    fn: Callable[[T], R | None], items: Iterator[T], /
) -> Iterator[R]:
    """Yield ``fn(item)`` for each item where that is not None."""
    for value in mapped(fn, items):
        if value is not None:
            yield value


def inspected[T](fn: Callable[[T], object], items: Iterator[T], /) -> Iterator[T]:
    """Yield each item after a call ``fn(item)``."""
    for item in items:
        try:
            value = fn(item)
        except StopIteration as error:
            raise StopRaised(error) from None
        if type(value) in UNAWAITED:
            refuse_coroutine(fn, value)
        yield item


def flat_mapped[T, R](
    fn: Callable[[T], Iterable[R]], items: Iterator[T], pace: Leaf[None], /
) -> Iterator[R]:
    """Yield the items of ``fn(item)`` for each item, end to end.

    Args:
      pace: A leaf without an end that halts. It is told of each item, since one call
        may give any number of them.
    """
    # `iter` is a stage, too: what it raises is no end either.
    flat = chain.from_iterable(mapped(iter, mapped(fn, items)))
    return map(_first, zip(flat, pace, strict=False))


_first = itemgetter(0)
