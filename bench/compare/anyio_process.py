"""`anyio.to_process.run_sync`: worker processes that stay warm, one call each."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import anyio
import anyio.to_process

from .nursery import in_nursery

__all__ = ("NAME", "open_peer")

NAME = "anyio.to_process"


class _AnyioProcess:
    def __init__(self, limiter: anyio.CapacityLimiter) -> None:
        self._limiter = limiter

    async def call[*Ts, R](self, fn: Callable[[*Ts], R], *args: *Ts) -> R:
        return await anyio.to_process.run_sync(fn, *args, limiter=self._limiter)

    async def each[T, R](self, fn: Callable[[T], R], items: Sequence[T]) -> list[R]:
        return await in_nursery(self.call, fn, items)


@asynccontextmanager
async def open_peer(worker_count: int) -> AsyncIterator[_AnyioProcess]:
    """Open a limiter of `worker_count`; the processes end with the Trio run."""
    yield _AnyioProcess(anyio.CapacityLimiter(worker_count))
