"""Chains on workers that are interpreters and share no objects.

There is nobody to steal from, so the chain is cut here, in order, as it goes along:

* **STRETCH-1** cut: a *stretch* is a producer of some positions only, with what it
  needs of the source. It is as long as takes `STRETCH_NS`, but never more than half of
  each worker's part of what is left, so that all end together.
* **STRETCH-2** cross: it travels with the terminal, as an item of `WorkerPool.map`;
  functions go by name, see ``_backends/CROSSING.md``.
* **STRETCH-3** combine: totals come back in order. One that decides the answer ends it.

Layer: iter. Imports: `runtime._frontend`, `producers`, `run`, `stretch`, `terminals`,
trio.
"""

from collections.abc import AsyncIterator
from functools import partial
from typing import Any, Self, override

import trio

from .._frontend import pool
from .producers import Producer
from .run import Progress
from .stretch import Done, run_stretch
from .terminals import NOTHING, Terminal, as_raised

__all__ = ("run_crossed",)

# Long against what a crossing costs. Arbitrary.
STRETCH_NS = 10_000_000
# The first stretches, cut before anything is known: this many for each worker would
# make the whole, and no more positions than this in one. Arbitrary.
FIRST_PARTS = 64
MAX_FIRST = 256


async def run_crossed(
    opened: pool.WorkerPool,
    producer: Producer,
    terminal: Terminal,
    min_length: int,
    progress: Progress | None,
    *,
    name: str,
) -> Any:
    """Run a chain to its answer; see `drive.run_chain`."""
    fn = partial(run_stretch, terminal)
    fn.__qualname__ = name  # type: ignore[attr-defined]  # for reports
    stretches = _Stretches(producer, min_length, opened.worker_count)
    total: Any = NOTHING
    errors: list[BaseException] = []
    is_decided = False
    try:
        # One that runs and one that is ready for each worker. STRETCH-2 cross
        async with opened.map(
            fn, stretches, max_in_flight=2 * opened.worker_count
        ) as results:
            async for done in results:
                stretches.learn(done)
                if progress is not None:
                    progress.advance(done.length)
                try:  # STRETCH-3 combine
                    total = _combined(terminal, total, done.total)
                    is_decided = terminal.is_decided_by(done.total)
                except Exception as error:
                    errors.append(error)
                if done.error is not None:
                    errors.append(done.error)
                if errors or is_decided:
                    break
    finally:
        if progress is not None:
            progress.close()
    if stretches.error is not None and not errors:
        errors.append(stretches.error)
    if errors:
        raise terminal.failed(errors)
    return terminal.finish(total)


def _combined(terminal: Terminal, left: Any, right: Any) -> Any:
    if left is NOTHING:
        return right
    return left if right is NOTHING else terminal.combine(left, right)


class _Stretches(AsyncIterator[tuple[Producer, int]]):
    """The stretches of a chain with their first positions, cut when asked for.

    Thread safety: externally synchronized, by the Trio thread.
    """

    def __init__(self, producer: Producer, min_length: int, worker_count: int) -> None:
        self._producer = producer
        self._min_length = min_length
        self._worker_count = worker_count
        self._position = 0
        self._item_ns = 0.0  # what an item costs; 0 for not known
        # What the source raised.
        self.error: BaseException | None = None

    @override
    def __aiter__(self) -> Self:
        return self

    @override
    async def __anext__(self) -> tuple[Producer, int]:
        start, length = self._position, self._producer.length
        stop = start + max(self._min_length, self._next_length())
        try:
            if length is None:
                # It may block; and an async one is pulled from through a thread.
                stretch = await trio.to_thread.run_sync(self._producer.cut, start, stop)
            else:
                stretch = self._producer.cut(start, min(stop, length))
        except Exception as error:
            self.error = as_raised(error)
            raise StopAsyncIteration from None
        if not stretch.length:
            raise StopAsyncIteration
        self._position += stretch.length
        return stretch, start  # STRETCH-1 cut

    def _next_length(self) -> int:
        length = self._producer.length
        left = MAX_FIRST * FIRST_PARTS if length is None else length - self._position
        if not self._item_ns:
            return max(1, min(left // (FIRST_PARTS * self._worker_count), MAX_FIRST))
        fitting = max(1, int(STRETCH_NS / self._item_ns))
        if length is None:
            return fitting
        return max(1, min(fitting, -(-left // (2 * self._worker_count))))

    def learn(self, done: Done) -> None:
        """Take in what a stretch has shown of the cost of an item."""
        # What was dear a moment ago may be so again.
        self._item_ns = max(done.elapsed_ns / done.length, self._item_ns / 2, 1.0)
