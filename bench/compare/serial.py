"""Plain Python on one thread: the baseline of every speed-up."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

__all__ = ("NAME", "open_peer")

NAME = "plain Python"


class _Serial:
    async def call[*Ts, R](self, fn: Callable[[*Ts], R], *args: *Ts) -> R:
        return fn(*args)

    async def each[T, R](self, fn: Callable[[T], R], items: Sequence[T]) -> list[R]:
        return [fn(item) for item in items]


@asynccontextmanager
async def open_peer(_worker_count: int) -> AsyncIterator[_Serial]:
    """Open nothing: the calls run where they are made."""
    yield _Serial()
