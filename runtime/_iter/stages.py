"""Stages that no builtin gives: from an iterator to an iterator, lazily.

Layer: iter. Imports: nothing of ours.
"""

from collections.abc import Callable, Iterator
from itertools import chain, starmap
from typing import Any

__all__ = ("filter_mapped", "flat_mapped", "inspected", "star_mapped")


def flat_mapped(fn: Callable[[Any], Any], items: Iterator[Any]) -> Iterator[Any]:
    """Return the items of what the function returns, end to end."""
    return chain.from_iterable(map(fn, items))


def filter_mapped(fn: Callable[[Any], Any], items: Iterator[Any]) -> Iterator[Any]:
    """Return what the function returns, but None."""
    return filter(_is_something, map(fn, items))


def _is_something(item: object) -> bool:
    return item is not None


def inspected(fn: Callable[[Any], Any], items: Iterator[Any]) -> Iterator[Any]:
    """Call the function for each item that passes."""
    for item in items:
        fn(item)
        yield item


def star_mapped(fn: Callable[..., Any], items: Iterator[Any]) -> Iterator[Any]:
    """Call the function with each item's elements as its arguments."""
    return starmap(fn, items)
