"""`trio.to_thread.run_sync` with a limiter of as many threads as there are workers."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import trio

from .nursery import in_nursery

__all__ = ("NAME", "open_peer")

NAME = "trio.to_thread"


class _TrioThread:
    def __init__(self, limiter: trio.CapacityLimiter) -> None:
        self._limiter = limiter

    async def call[*Ts, R](self, fn: Callable[[*Ts], R], *args: *Ts) -> R:
        return await trio.to_thread.run_sync(fn, *args, limiter=self._limiter)

    async def each[T, R](self, fn: Callable[[T], R], items: Sequence[T]) -> list[R]:
        return await in_nursery(self.call, fn, items)


@asynccontextmanager
async def open_peer(worker_count: int) -> AsyncIterator[_TrioThread]:
    """Open a limiter of `worker_count`; Trio keeps the threads in its cache."""
    yield _TrioThread(trio.CapacityLimiter(worker_count))
