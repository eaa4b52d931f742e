"""An async iterable as the source of a chain: it is pulled from in Trio.

Layer: iter.
"""

import time
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from typing import Any

import trio

from .._core import LEAF_NS, current_worker
from .._frontend import from_worker
from .producers import Bridge, Producer

__all__ = ("producer_of_async",)

# Pulled from an async iterable in one go, so that memory is bounded. Arbitrary.
MAX_PULLED = 1024


def producer_of_async(data: AsyncIterable[Any]) -> Producer:
    """Return a producer of what an async iterable gives, pulled in Trio."""
    return Bridge(_PulledInTrio(aiter(data)))


class _PulledInTrio(Iterator[Any]):
    """An async iterator, seen from a worker.

    One crossing into Trio takes all that is there within `LEAF_NS`.
    """

    def __init__(self, items: AsyncIterator[Any]) -> None:
        self._items = items
        self._pulled: list[Any] = []  # the next one last
        self._is_exhausted = False

    def __next__(self) -> Any:
        if not self._pulled and not self._is_exhausted:
            # Over interpreters it is pulled from in a thread of Trio's.
            if current_worker() is not None:
                self._pulled = from_worker.run(self._pull)
            else:
                self._pulled = trio.from_thread.run(self._pull)
            self._pulled.reverse()
        if not self._pulled:
            raise StopIteration
        return self._pulled.pop()

    async def _pull(self) -> list[Any]:
        pulled: list[Any] = []
        deadline = time.perf_counter_ns() + LEAF_NS
        while len(pulled) < MAX_PULLED and time.perf_counter_ns() < deadline:
            try:
                pulled.append(await anext(self._items))
            except StopAsyncIteration:
                self._is_exhausted = True
                break
        return pulled
