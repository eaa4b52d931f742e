"""A call made in the Trio task itself, with one checkpoint: Trio's own floor.

No parallel call can be cheaper than this, since every one of them must pass a
checkpoint.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import trio

from .nursery import in_nursery

__all__ = ("NAME", "open_peer")

NAME = "Trio's floor: one checkpoint"


class _Inline:
    async def call[*Ts, R](self, fn: Callable[[*Ts], R], *args: *Ts) -> R:
        await trio.lowlevel.checkpoint()
        return fn(*args)

    async def each[T, R](self, fn: Callable[[T], R], items: Sequence[T]) -> list[R]:
        return await in_nursery(self.call, fn, items)


@asynccontextmanager
async def open_peer(_worker_count: int) -> AsyncIterator[_Inline]:
    """Open nothing: the calls run in the Trio thread."""
    yield _Inline()
