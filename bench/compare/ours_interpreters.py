"""`runtime.open_worker_pool(backend="interpreters")`, else as in `ours`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import runtime

from .ours import OurPool

__all__ = ("BATCH", "NAME", "open_peer")

NAME = "ours, interpreters: spawn_cpu_work"
BATCH = "ours, interpreters: batch"


@asynccontextmanager
async def open_peer(worker_count: int) -> AsyncIterator[OurPool]:
    """Open a pool of `worker_count` interpreters."""
    async with runtime.open_worker_pool(worker_count, backend="interpreters") as pool:
        yield OurPool(pool)
