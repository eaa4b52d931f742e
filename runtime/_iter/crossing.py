"""Chains on workers that are interpreters and share no objects.

There is nobody to steal from, so the chain is cut here, in order, as it goes along:

* **STRETCH-1** cut: a *stretch* is a producer of some positions only, with what it
  needs of the source. It is as long as takes `STRETCH_NS`, but never more than half of
  each worker's part of what is left, so that all end together, nor shorter than pays.
* **STRETCH-2** cross: it travels with the terminal, as an item of `WorkerPool.map`;
  functions go by name, see ``_backends/CROSSING.md``.
* **STRETCH-3** combine: totals come back as they are ready, so that no worker waits for
  another, and are combined in order. One that decides the answer ends it.

What a stretch costs beside its items is some tenths of a millisecond, half of it in the
Trio thread, which wants a core like the workers.

Layer: iter.
"""

from collections.abc import AsyncIterator
from functools import partial
from typing import Any, Self, override

import trio

from .._errors import CancelReason, JobCancelled, JobInterrupted, TaskCancelled
from .._frontend import pool
from .producers import Producer
from .run import Progress
from .stretch import Done, run_stretch
from .terminals import NOTHING, Terminal, as_raised

__all__ = ("run_crossed",)

# Long against what a crossing costs; one that is cancelled ends early. Measured in
# bench/situations/iter_chains.
STRETCH_NS = 40_000_000
# The shortest, at the end, where all workers should be done at the same time.
LEAST_NS = 1_000_000
# What the Trio thread encodes in one go at most. Arbitrary.
MAX_LENGTH = 1 << 18
# The first stretches, cut before anything is known: this many for each worker would
# make the whole, and no more positions than this in one. Arbitrary.
FIRST_PARTS = 64
MAX_FIRST = 256


@trio.lowlevel.enable_ki_protection
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
    totals = _Totals(terminal)
    try:
        # One that runs and one that is ready for each worker. STRETCH-2 cross
        async with opened.map(
            fn, stretches, max_in_flight=2 * opened.worker_count, ordered=False
        ) as results:
            async for done in results:
                stretches.learn(done)
                if progress is not None:
                    progress.advance(done.length)
                if totals.take(done):
                    break
    finally:
        if progress is not None:
            progress.close()
    errors = totals.errors
    if stretches.error is not None and not errors:
        errors.append(stretches.error)
    if errors:
        raise terminal.failed(errors)
    if totals.is_cancelled or stretches.is_cancelled:
        raise TaskCancelled(f"map of {name}", CancelReason.ITEM)  # as an item's own
    return terminal.finish(totals.total)


class _Totals:
    """The totals of the stretches, put together in the order of their positions.

    Thread safety: externally synchronized, by the Trio thread.
    """

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._ready: dict[int, Done] = {}  # by first position, what came too early
        self._position = 0  # up to here all is in the total
        self.total: Any = NOTHING
        self.errors: list[BaseException] = []
        self.is_cancelled = False

    def take(self, done: Done) -> bool:
        """Take in a stretch; return whether the chain is over."""
        self._ready[done.start] = done
        is_over = False
        while not is_over and (due := self._ready.pop(self._position, None)):
            self._position += due.length
            is_over = self._combine(due)
        return is_over

    def _combine(self, done: Done) -> bool:  # STRETCH-3 combine
        is_decided = False
        try:
            self.total = _combined(self._terminal, self.total, done.total)
            is_decided = self._terminal.is_decided_by(done.total)
        except KeyboardInterrupt:
            raise
        except (JobCancelled, JobInterrupted):
            self.is_cancelled = True
        except BaseException as error:  # an outcome like an item's
            self.errors.append(error)
        if done.error is not None:
            self.errors.append(done.error)
        return is_decided or self.is_cancelled or bool(self.errors)


@trio.lowlevel.disable_ki_protection  # the user's function
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
        self.is_cancelled = False

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
        except (JobCancelled, JobInterrupted):
            self.is_cancelled = True
            raise StopAsyncIteration from None
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
        fitting = min(int(STRETCH_NS / self._item_ns), MAX_LENGTH)
        if length is not None:
            fitting = min(fitting, -(-left // (2 * self._worker_count)))
        return max(1, fitting, int(LEAST_NS / self._item_ns))

    def learn(self, done: Done) -> None:
        """Take in what a stretch has shown of the cost of an item."""
        # What was dear a moment ago may be so again.
        self._item_ns = max(done.elapsed_ns / done.length, self._item_ns / 2, 1.0)
