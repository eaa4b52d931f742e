"""`runtime.open_worker_pool`: one call each in a nursery, or all in one batch."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import runtime

from .nursery import in_nursery

__all__ = ("BATCH", "NAME", "OurPool", "open_peer")

NAME = "ours: spawn_cpu_work"
BATCH = "ours: spawn_parallel_batch"


class OurPool:
    """A worker pool with its default options."""

    def __init__(self, pool: runtime.WorkerPool) -> None:
        self._pool = pool

    async def call[*Ts, R](self, fn: Callable[[*Ts], R], *args: *Ts) -> R:
        """Run one `spawn_cpu_work`."""
        return await self._pool.spawn_cpu_work(fn, *args)

    async def each[T, R](self, fn: Callable[[T], R], items: Sequence[T]) -> list[R]:
        """Run one `spawn_cpu_work` per item, one Trio task each."""
        return await in_nursery(self.call, fn, items)

    async def batch[T, R](self, fn: Callable[[T], R], items: Sequence[T]) -> list[R]:
        """Run `spawn_parallel_batch` once over all items."""
        return await self._pool.spawn_parallel_batch(items, fn)


@asynccontextmanager
async def open_peer(worker_count: int) -> AsyncIterator[OurPool]:
    """Open a pool of `worker_count` workers."""
    async with runtime.open_worker_pool(worker_count, backend="threads") as pool:
        yield OurPool(pool)
