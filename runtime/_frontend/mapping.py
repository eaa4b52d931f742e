"""`WorkerPool.map`: a stream of items in, a stream of results out.

At most ``max_in_flight`` items are alive: pulled from the source and their result
not yet handed out. Between the two ends items travel in *blocks*, one job each:

* **MAP-1** pull: the feeder takes items while there is room. Where room ran out it goes
  on when a block of items has been handed out, and not for each. Of a sync source it
  takes what comes within `PULL_NS` before it looks up.
* **MAP-2** send: a whole block, while the workers have fewer than `BLOCKS_PER_WORKER`
  each; what is there, however little, where a worker may have none: of a slow source
  each item starts at once. Of an async source that is when the feeder has to wait:
  another task, the sender, runs then. A block is so long that it takes about
  `BLOCK_NS`: a fast source pays for one job per block and not per item.
* **MAP-3** return: a block that is done frees its place with the workers (the next
  one is sent) and its results wait for the consumer, in order if asked.
* **MAP-4** hand out: each result makes room for one more item. For the consumer that is
  a checkpoint and little else; whoever waits is woken when there is enough to do.

Layer: frontend.
"""

from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from contextvars import Context
from itertools import islice
from threading import get_ident
from types import CodeType
from typing import TYPE_CHECKING, Self, cast, override

import outcome
import trio

from .. import _core
from .._backends.captured import capturing
from .._backends.leaf import run_block
from .._core import sync
from .._errors import CancelReason, PoolClosedError, TaskCancelled
from .items import MAP
from .nursery import open_nursery
from .options import OnCancelMany, callable_name
from .patience import wait_to_the_end
from .protected import protected, start_task
from .source import TURN_NS, close_source, source_error
from .token import WorkToken, is_end
from .waits import waiting_for
from .work import Verdict, are_over, verdict_of

if TYPE_CHECKING:
    from .intake import Intake

__all__ = ("MapStream", "open_map")

# One running and one ready keeps a worker from waiting for the Trio thread.
BLOCKS_PER_WORKER = 2
# A block's run time, long against what a block costs the Trio thread: some 100 us.
BLOCK_NS = 2_000_000
# How long a worker that has nothing may wait until more items make the block longer.
# Short against a block, long against what most sources take for one. Arbitrary.
PULL_NS = 50_000
# Sources whose iterators run nobody's code.
QUICK_SOURCES = (list, tuple, range, dict, set, frozenset, str, bytes)
# What a foreign thread is told to call; see `Owner.check`.
ITERATE = "run(pool.spawn_parallel_batch, items, fn)"

# What `run_block` returns: results, error, nanoseconds.
type _Done = tuple[list[object], BaseException | None, int]


class _Block(_core.Job):
    """Some items on their way to a worker, and their results on the way back."""

    __slots__ = ("_stream", "code", "is_back", "name", "size")

    # Immutable, so a narrower type is sound.
    token: WorkToken  # pyright: ignore[reportIncompatibleVariableOverride]

    def __init__(
        self,
        stream: "MapStream[object, object]",
        items: list[object],
        context: Context,
    ) -> None:
        super().__init__(
            run_block,
            (stream.call, items, stream.token),
            context,
            token=stream.token,
            sink=_Block._left,
        )
        self._stream = stream  # immutable
        self.size = len(items)  # immutable
        self.name = stream.name  # immutable
        self.code = stream.code  # immutable
        self.is_back = False  # owner: the Trio thread

    def deliver(self) -> None:
        """Hand the results to the stream; in the Trio thread."""
        self._stream.intake.settle(self, holds_place=False)
        self.is_back = True
        self._stream.take_back(self)

    def verdict(self) -> Verdict:
        """Tell how the block ended."""
        result = self.outcome
        if isinstance(result, outcome.Value) and cast("_Done", result.value)[1]:
            return Verdict.FAILED
        return verdict_of(self)

    def stop(self, reason: CancelReason) -> None:
        """Stop the whole stream."""
        self._stream.stop(reason)

    def interrupt(self) -> None:
        """Have the stream's items interrupted, if the caller allowed that."""
        self._stream.interrupt()

    def fail(self, error: BaseException) -> None:
        """End the stream with an error of the runtime's own."""
        self._stream.fail(error)

    @trio.lowlevel.enable_ki_protection  # in an inline pool
    def _left(self) -> None:
        self._stream.intake.port.post(self)


class MapStream[T, R](AsyncIterator[R]):
    """The results of one `WorkerPool.map`; iterate over it once, from one task.

    Thread safety: externally synchronized, by the Trio thread.
    """

    def __init__(
        self,
        intake: "Intake",
        fn: Callable[[T], R],
        *,
        max_in_flight: int,
        ordered: bool,
        collects_errors: bool,
        on_cancel: OnCancelMany,
    ) -> None:
        self.intake = intake  # immutable
        self.call = capturing(fn) if collects_errors else fn  # immutable
        self.name = f"map of {callable_name(fn)}"  # immutable
        self.code: CodeType | None = getattr(fn, "__code__", None)  # immutable
        self.token = WorkToken(  # immutable
            intake, may_interrupt=on_cancel == "interrupt"
        )
        self._ordered = ordered  # immutable
        self._context = _core.job_context()  # immutable: copied, never entered
        self._worker_count = intake.backend.worker_count  # immutable
        self._max_sent = BLOCKS_PER_WORKER * self._worker_count  # immutable
        self._max_block = max(1, max_in_flight // self._max_sent)  # immutable
        # All that follows belongs to the Trio thread.
        self.items: object = None  # owner: the source's iterator, once there is one
        # Whether to take an item from it takes no time worth a look at the clock.
        self._is_quick = False  # owner
        self._room = max_in_flight  # owner: how many items may still be pulled
        self._enough = 1  # owner: so much room wakes the feeder
        self._open: deque[T] = deque()  # owner: items pulled and not sent
        self._block_size = 1  # owner: adapts to BLOCK_NS
        self._sent: list[_Block] = []  # owner: blocks whose results are not taken
        self._sent_count = 0  # owner: blocks that are not back
        self._ready: deque[R] = deque()  # owner: results to hand out
        self._errors: list[BaseException] = []  # owner: what the items raised
        # Whether an item has no result; none is handed out after that.
        self._is_cut = False  # owner
        self._final_error: BaseException | None = None  # owner: the source's, ours
        self._is_exhausted = False  # owner: no more items will come
        self._is_given_up = False  # owner: what still comes back is dropped
        self._changed = trio.lowlevel.ParkingLot()  # owner: who waits for a block
        self._freed = trio.lowlevel.ParkingLot()  # owner: the feeder, for room
        self._pulled = trio.lowlevel.ParkingLot()  # owner: the sender, for items

    # The consumer

    @override
    def __aiter__(self) -> Self:
        return self

    @override
    @trio.lowlevel.enable_ki_protection
    async def __anext__(self) -> R:
        """Return the next result; a checkpoint on every call."""
        owner = self.intake.owner
        if get_ident() != owner.thread or owner.run.is_over or owner.is_forked:
            owner.check(ITERATE)
        await trio.lowlevel.checkpoint()
        if not self._ready:
            await self._wait_ready()
        self._room += 1  # MAP-4 hand out
        if self._room >= self._enough and self._freed:
            self._freed.unpark_all()
        return self._ready.popleft()

    async def _wait_ready(self) -> None:
        while not self._ready:
            if self._sent_count == 0 and self._is_over():
                await trio.lowlevel.checkpoint_if_cancelled()  # with what ended it
                raise self._ending()
            with waiting_for(self.token):
                await self._changed.park()

    def _is_over(self) -> bool:
        return self.token.is_set or (self._is_exhausted and not self._open)

    def _ending(self) -> BaseException:
        """Return what ends the iteration: the error there is, or just the end."""
        if self._errors:
            count = len(self._errors)
            what = "1 item failed" if count == 1 else f"{count} items failed"
            return BaseExceptionGroup(f"{self.name}: {what}", self._errors)
        error = self._final_error
        if error is not None and not isinstance(error, PoolClosedError):
            return error
        # What is refused because the pool is being cancelled was cancelled, too.
        if self.token.is_set:
            return TaskCancelled(self.name, self.token.reason or CancelReason.ITEM)
        return error or StopAsyncIteration()

    # The feeder

    async def feed(self, source: Iterable[T] | AsyncIterable[T]) -> None:
        """Pull items while there is room, until the source ends or the map stops."""
        try:
            if isinstance(source, AsyncIterable):
                self.items = items = aiter(source)
                await self._pull_each(items)
            else:
                self.items = iterator = iter(source)
                self._is_quick = type(source) in QUICK_SOURCES
                await self._pull(iterator)
        except Exception as error:  # the source's own error ends the results
            self._final_error = source_error(error)
            self._send_pulled()
        except BaseException:  # a cancellation, or a Ctrl-C in the source
            # Somebody may be shielded and take results: these are not all.
            self._final_error = TaskCancelled(self.name, CancelReason.CALLER)
            raise
        finally:
            self._is_exhausted = True
            self._changed.unpark_all()

    async def _pull(self, items: Iterator[T]) -> None:
        begin_ns = sync.clock_ns()
        while not self._is_stopped():
            if self._room == 0:
                await self._freed.park()
                begin_ns = sync.clock_ns()
            elif sync.clock_ns() - begin_ns > TURN_NS:
                await trio.lowlevel.checkpoint()
                begin_ns = sync.clock_ns()
            elif not self._pull_some(items):
                return
            else:
                self._send_pulled()

    def _pull_some(self, items: Iterator[T]) -> bool:
        """Take a block of items, or what comes quickly; False at the source's end."""
        missing = self._block_size - len(self._open)
        count = min(self._room, missing if missing > 0 else self._block_size)
        take = self._take_all if self._is_quick else self._take_quick
        taken = take(islice(items, count))
        self._room -= taken
        return taken > 0

    def _take_all(self, items: Iterator[T]) -> int:
        before = len(self._open)
        self._open.extend(items)  # MAP-1 pull
        return len(self._open) - before

    def _take_quick(self, items: Iterator[T]) -> int:
        taken, until_ns = 0, sync.clock_ns() + PULL_NS
        for item in items:
            self._open.append(item)  # MAP-1 pull
            taken += 1
            if sync.clock_ns() > until_ns:
                break
        return taken

    async def _pull_each(self, items: AsyncIterator[T]) -> None:
        begin_ns = sync.clock_ns()
        while not self._is_stopped():
            if self._room == 0:
                await self._freed.park()
                begin_ns = sync.clock_ns()
                continue
            if sync.clock_ns() - begin_ns > TURN_NS:
                await trio.lowlevel.checkpoint()
                begin_ns = sync.clock_ns()
            try:
                item = await anext(items)
            except StopAsyncIteration:
                return self._send_pulled()
            self._room -= 1
            self._open.append(item)  # MAP-1 pull
            if len(self._open) >= self._block_size:
                self._send_pulled()
            elif self._has_place():
                self._pulled.unpark_all()

    async def send(self) -> None:
        """Send what was pulled when the feeder has to wait for more."""
        while True:
            await self._pulled.park()
            self._send_pulled()

    def _is_stopped(self) -> bool:
        return self.token.is_set or self._final_error is not None

    def _send_pulled(self) -> None:
        """Send items, unless the pool's block is over by now."""
        try:
            self.intake.check_open()
        except Exception as error:
            self._final_error = self._final_error or error
            self._open.clear()
            self._freed.unpark_all()
            self._changed.unpark_all()
        else:
            self._send()

    # Blocks on their way

    @trio.lowlevel.enable_ki_protection  # what is counted as sent has to come back
    def _send(self) -> None:
        """Send open items, as long as the workers should have more."""
        while self._open and not self.token.is_set and self._has_place():
            size = min(self._block_size, len(self._open))
            items = [self._open.popleft() for _ in range(size)]
            stream = cast("MapStream[object, object]", self)
            block = _Block(stream, cast("list[object]", items), self._context.copy())
            self._sent.append(block)
            self._sent_count += 1
            self.intake.inject(block, block)  # MAP-2 send

    def _has_place(self) -> bool:
        """Return whether the workers should have what is there."""
        if self._sent_count < self._worker_count:
            return True
        is_whole = len(self._open) >= self._block_size
        return is_whole and self._sent_count < self._max_sent

    def take_back(self, block: _Block) -> None:
        """Take a block's results when it is their turn; send what is due."""
        if self._is_given_up:
            return
        self._sent_count -= 1  # MAP-3 return
        if self._ordered:
            while self._sent and self._sent[0].is_back:
                self._take_results(self._sent.pop(0))
        else:
            self._sent.remove(block)
            self._take_results(block)
        self._send()
        self._changed.unpark_all()

    def _take_results(self, block: _Block) -> None:
        result, block.outcome = block.outcome, None
        if result is None:
            self._is_cut = True  # withdrawn
            return
        if isinstance(result, outcome.Error):
            self._fail(result.error)
            return
        results, error, elapsed_ns = cast("_Done", result.value)
        if not self._is_cut:
            self._ready.extend(cast("list[R]", results))
        if error is None:
            self._adapt(block.size, elapsed_ns)
        else:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        self._is_cut = True
        if not is_end(error):
            self._errors.append(error)
        self.stop(CancelReason.ITEM)  # an item that ends itself stops the rest, too

    def _adapt(self, size: int, elapsed_ns: int) -> None:
        """Choose the length of block that would have taken `BLOCK_NS`."""
        fitting = size * BLOCK_NS // max(elapsed_ns, 1)
        # One that was sent short, for a worker had nothing, makes the next no shorter.
        longest = min(max(2 * size, self._block_size), self._max_block)
        self._block_size = max(1, min(fitting, longest))
        self._enough = self._block_size

    # The end

    def stop(self, reason: CancelReason) -> None:
        """Send nothing more, withdraw what waits, tell what runs to stop."""
        self.token.request_stop(reason)
        for block in self._sent:
            self.intake.backend.withdraw(block)
        self._changed.unpark_all()
        self._freed.unpark_all()

    def interrupt(self) -> None:
        """Have the items that run interrupted, if the caller allowed that."""
        out = [block for block in self._sent if not block.is_back]
        if out:
            self.token.request_interrupt(are_over(out))

    def fail(self, error: BaseException) -> None:
        """End the results with an error of the runtime's own; nothing comes back."""
        self._is_given_up = True
        self._final_error = error
        self._sent_count = 0
        self._sent.clear()
        self.stop(CancelReason.FAILURE)

    async def wait_returned(self) -> None:
        """Wait until no block is out."""
        while self._sent_count > 0:
            await self._changed.park()


@protected(MAP)
@asynccontextmanager
async def open_map[T, R](
    stream: MapStream[T, R], source: Iterable[T] | AsyncIterable[T]
) -> AsyncIterator[MapStream[T, R]]:
    """Feed the stream while the block runs; leave nothing behind it."""
    stream.intake.owner.check(ITERATE)
    try:
        async with open_nursery() as nursery:
            nursery.start_soon(stream.feed, source)
            if isinstance(source, AsyncIterable):
                start_task(nursery, stream.send)
            try:
                yield stream
            finally:
                nursery.cancel_scope.cancel()
                stream.stop(CancelReason.CALLER)
                stream.interrupt()
                await wait_to_the_end(stream.intake.patience, stream.wait_returned)
    finally:
        await close_source(stream.items)
