"""`concurrent.futures.ThreadPoolExecutor`, used as outside Trio: it blocks the loop."""

from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

__all__ = ("NAME", "open_peer")

NAME = "ThreadPoolExecutor"


class _ThreadPool:
    def __init__(self, executor: ThreadPoolExecutor) -> None:
        self._executor = executor

    async def call[*Ts, R](self, fn: Callable[[*Ts], R], *args: *Ts) -> R:
        return self._executor.submit(fn, *args).result()

    async def each[T, R](self, fn: Callable[[T], R], items: Sequence[T]) -> list[R]:
        return list(self._executor.map(fn, items))


@asynccontextmanager
async def open_peer(worker_count: int) -> AsyncIterator[_ThreadPool]:
    """Open an executor of `worker_count` threads."""
    with ThreadPoolExecutor(worker_count) as executor:
        yield _ThreadPool(executor)
