"""`runtime.ParallelProcessor`: one open processor per way of using it."""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager

import outcome

import runtime

__all__ = ("NAME", "NO_STATISTICS", "UNORDERED", "OurStream", "open_stream")

NAME = "ours: process"
UNORDERED = "ours: process, as completed"
NO_STATISTICS = "ours: process, no statistics"


class OurStream:
    """A processor that is open, and the handler it was given."""

    def __init__(self, processor: runtime.ParallelProcessor[int, int]) -> None:
        self.processor = processor

    async def each(self, items: Iterable[int]) -> list[int]:
        """Stream the items through, in order."""
        async with self.processor.process(items) as responses:
            return [response.unwrap() async for response in responses]

    async def each_unordered(self, items: Iterable[int]) -> list[int]:
        """Stream the items through, as they are completed; sorted afterwards."""
        async with self.processor.process(items, ordered=False) as responses:
            return sorted([response.unwrap() async for response in responses])

    async def gather(self, items: Sequence[int]) -> list[int]:
        """Have all items answered in one call."""
        answers: list[outcome.Maybe[int]]
        answers = await self.processor.execute_parallel_batch(items)
        return [answer.unwrap() for answer in answers]


@asynccontextmanager
async def open_stream(
    handler: Callable[[int], int],
    worker_count: int,
    *,
    batch_size: int = 10,
    enable_statistics: bool = True,
) -> AsyncIterator[OurStream]:
    """Open a processor of `worker_count` workers; all else is as by default."""
    config = runtime.ParallelConfig(
        worker_count=worker_count,
        batch_size=batch_size,
        enable_statistics=enable_statistics,
    )
    async with runtime.ParallelProcessor(handler, config) as processor:
        yield OurStream(processor)
