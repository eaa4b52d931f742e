"""One Trio task per item: how users of an awaitable call run many of them."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import trio

__all__ = ("in_nursery",)


async def in_nursery[T, R](
    call: Callable[[Callable[[T], R], T], Awaitable[R]],
    fn: Callable[[T], R],
    items: Sequence[T],
) -> list[R]:
    """Await ``call(fn, item)`` for all items at once, one task each.

    Returns:
      The answers in the order of `items`.
    """
    answers: list[Any] = [None] * len(items)

    async def one(position: int, item: T) -> None:
        answers[position] = await call(fn, item)

    async with trio.open_nursery() as nursery:
        for position, item in enumerate(items):
            nursery.start_soon(one, position, item)
    return answers
