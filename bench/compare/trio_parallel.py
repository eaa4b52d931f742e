"""`trio_parallel.run_sync`: worker processes that stay warm, one call each."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import trio
import trio_parallel  # type: ignore[import-untyped]  # it ships no types

from .nursery import in_nursery

__all__ = ("NAME", "open_peer")

NAME = "trio-parallel"


class _TrioParallel:
    def __init__(
        self, context: trio_parallel.WorkerContext, limiter: trio.CapacityLimiter
    ) -> None:
        self._context = context
        self._limiter = limiter

    async def call[*Ts, R](self, fn: Callable[[*Ts], R], *args: *Ts) -> R:
        answer: R = await self._context.run_sync(fn, *args, limiter=self._limiter)
        return answer

    async def each[T, R](self, fn: Callable[[T], R], items: Sequence[T]) -> list[R]:
        return await in_nursery(self.call, fn, items)


@asynccontextmanager
async def open_peer(worker_count: int) -> AsyncIterator[_TrioParallel]:
    """Open a context whose processes live until it is left."""
    async with trio_parallel.open_worker_context() as context:
        yield _TrioParallel(context, trio.CapacityLimiter(worker_count))
