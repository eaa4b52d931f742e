"""Stages that the core does not give: from an iterator to an iterator, lazily.

Layer: iter.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from .._core import StopRaised, mapped
from .._unawaited import UNAWAITED
from .._util import called, refuse_coroutine

__all__ = ("filter_mapped", "inspected", "with_scratch")


def filter_mapped(fn: Callable[[Any], Any], items: Iterator[Any]) -> Iterator[Any]:
    """Return what the function returns, but None."""
    return filter(_is_something, mapped(fn, items))


def _is_something(item: object) -> bool:
    return item is not None


def inspected(fn: Callable[[Any], Any], items: Iterator[Any]) -> Iterator[Any]:
    """Call the function for each item that passes."""
    for item in items:
        try:
            value = fn(item)
        except StopIteration as error:
            raise StopRaised(error) from None
        if type(value) in UNAWAITED:
            refuse_coroutine(fn, value)
        yield item


def with_scratch(
    make: Callable[[], Any],
    fn: Callable[[Any, Any], Any],
    items: Iterator[Any],
    free: list[Any],
) -> Iterator[Any]:
    """Yield ``fn(scratch, item)``, with a scratch object that is lent meanwhile."""
    try:
        scratch = free.pop() if free else called(make)
    except StopIteration as error:
        raise StopRaised(error) from None
    try:
        yield from mapped(partial(fn, scratch), items)
    finally:
        free.append(scratch)
