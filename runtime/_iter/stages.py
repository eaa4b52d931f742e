"""The stage that the core does not give: it makes an object of its own for itself.

Layer: iter.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from .._core import StopRaised, mapped
from .._util import called

__all__ = ("with_scratch",)


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
