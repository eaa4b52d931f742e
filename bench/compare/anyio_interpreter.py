"""`anyio.to_interpreter.run_sync`: a call that enters an interpreter each time."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import anyio
import anyio.to_interpreter

from .nursery import in_nursery

__all__ = ("NAME", "open_peer")

NAME = "anyio.to_interpreter"


class _AnyioInterpreter:
    def __init__(self, limiter: anyio.CapacityLimiter) -> None:
        self._limiter = limiter

    async def call[*Ts, R](self, fn: Callable[[*Ts], R], *args: *Ts) -> R:
        return await anyio.to_interpreter.run_sync(fn, *args, limiter=self._limiter)

    async def each[T, R](self, fn: Callable[[T], R], items: Sequence[T]) -> list[R]:
        return await in_nursery(self.call, fn, items)


@asynccontextmanager
async def open_peer(worker_count: int) -> AsyncIterator[_AnyioInterpreter]:
    """Open a limiter of `worker_count`; the interpreters end with the Trio run."""
    yield _AnyioInterpreter(anyio.CapacityLimiter(worker_count))
