"""`runtime.open_worker_pool(backend="threads")`, else as in `ours`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import runtime

from .ours import OurPool

__all__ = ("NAME", "open_peer")

NAME = "ours, threads: batch"


@asynccontextmanager
async def open_peer(worker_count: int) -> AsyncIterator[OurPool]:
    """Open a pool of `worker_count` threads."""
    async with runtime.open_worker_pool(worker_count, backend="threads") as pool:
        yield OurPool(pool)
