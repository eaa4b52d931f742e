"""`ParallelProcessor.process`: a stream of requests in, a stream of outcomes out.

The feeder takes requests from the source while the stream's window has room; the
window is given back when an outcome is handed out. So a consumer that is slow holds
up its own source, and nobody else's.

Layer: processor.
"""

from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from contextlib import aclosing, asynccontextmanager
from threading import get_ident
from typing import Self, cast, override

import outcome
import trio

from .._errors import BackpressureExceeded, CancelReason, TaskCancelled
from .._frontend.nursery import open_nursery
from .._frontend.options import OnError
from .._frontend.patience import wait_to_the_end
from .._frontend.protected import protected
from .._frontend.source import close_source, source_error, yielding
from .engine import Engine
from .gather import PROCESS
from .maker import DeadlineOption, PriorityOption, RequestMaker
from .request import Request
from .window import Window

__all__ = ("ResponseStream", "open_stream")

# What a foreign thread is told to call; see `Owner.check`.
ITERATE = "run(processor.execute_parallel_batch, requests)"


class ResponseStream[R](AsyncIterator[outcome.Maybe[R]]):
    """The outcomes of one stream; iterate over it once, from one task.

    Thread safety: externally synchronized, by the Trio thread.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        ordered: bool,
        on_error: OnError,
        priority: PriorityOption,
        deadline: DeadlineOption,
    ) -> None:
        self._engine = engine
        self._ordered = ordered
        self._raises = on_error == "raise"
        self._maker = RequestMaker(
            engine, self, self, priority=priority, deadline=deadline
        )
        self._window = Window(engine.config.max_pending_tasks)
        self._order: deque[Request] = deque()  # if ordered: what is not ready yet
        self._ready: deque[outcome.Maybe[R]] = deque()
        self._out = 0  # requests brought and not answered
        self._is_exhausted = False
        self._is_left = False  # its block is being left
        self.items: object = None  # the source's iterator, once there is one
        self._source_error: Exception | None = None
        self._changed = trio.lowlevel.ParkingLot()  # who waits for an answer

    # The consumer

    @override
    def __aiter__(self) -> Self:
        return self

    @override
    @trio.lowlevel.enable_ki_protection
    async def __anext__(self) -> outcome.Maybe[R]:
        """Return the next outcome; a checkpoint on every call."""
        owner = self._engine.owner
        if get_ident() != owner.thread or owner.run.is_over or owner.is_forked:
            owner.check(ITERATE)
        await trio.lowlevel.checkpoint()
        while not self._ready:
            if self._is_exhausted and self._out == 0:
                await trio.lowlevel.checkpoint_if_cancelled()  # with what ended it
                if self._source_error is not None:
                    raise self._source_error
                raise StopAsyncIteration
            await self._changed.park()
        self._window.give_back()
        answer = self._ready.popleft()
        if self._raises and type(answer) is outcome.Error:
            raise BaseExceptionGroup(
                f"{self._engine.name}: 1 request failed", [answer.error]
            )
        return answer

    # The feeder

    async def feed(self, source: Iterable[object] | AsyncIterable[object]) -> None:
        """Bring requests while there is room, until the source ends."""
        try:
            if isinstance(source, trio.MemoryReceiveChannel):
                await self._bring_from_channel(source)
            elif isinstance(source, AsyncIterable):
                self.items = requests = aiter(source)
                await self._bring_all(requests)
            else:
                self.items = iterator = iter(source)
                async with aclosing(yielding(iterator)) as requests:
                    await self._bring_all(requests)
        except Exception as error:  # the source's own error ends the outcomes
            self._source_error = source_error(error)
        except BaseException:  # a cancellation, or a Ctrl-C in the source
            # Somebody may be shielded and take outcomes: these are not all.
            self._source_error = TaskCancelled(self._engine.name, CancelReason.CALLER)
            raise
        finally:
            self._is_exhausted = True
            self._changed.unpark_all()

    async def _bring_all(self, requests: AsyncIterator[object]) -> None:
        while True:
            if not self._window.try_take():
                await self._window.wait_free()
                continue
            try:
                value = await anext(requests)
            except StopAsyncIteration:
                return
            await self._bring(value)

    async def _bring_from_channel(
        self, channel: trio.MemoryReceiveChannel[object]
    ) -> None:
        """Take what is there without a wake-up for each."""
        while True:
            if not self._window.try_take():
                await self._window.wait_free()
                continue
            try:
                try:
                    value = channel.receive_nowait()
                except trio.WouldBlock:
                    value = await channel.receive()
            except trio.EndOfChannel:
                return
            await self._bring(value)

    @trio.lowlevel.enable_ki_protection  # what is counted has to be answered
    async def _bring(self, value: object) -> None:
        self._engine.check_open()
        request = self._maker.make_or_fail(value)
        self._out += 1
        if self._ordered:
            self._order.append(request)
        if request.answer is not None:
            self._engine.reject(request)
            return
        try:
            if not self._engine.offer(request):
                await self._engine.admit(request)
                if self._is_left:  # while it had its place, and was not resumed
                    self._engine.withdraw(request, CancelReason.CALLER)
        except BackpressureExceeded as error:
            request.answer = outcome.Error(error)
            self.receive(request)
        except BaseException:
            self._out -= 1
            if self._ordered:
                self._order.remove(request)
            raise

    def receive(self, request: Request) -> None:
        """Take an answer, and hand out what is its turn."""
        self._out -= 1
        if not self._ordered:
            self._ready.append(cast("outcome.Maybe[R]", request.answer))
        else:
            order = self._order
            while order and order[0].answer is not None:
                answer = order.popleft().answer
                self._ready.append(cast("outcome.Maybe[R]", answer))
        self._changed.unpark_all()

    # The end

    def stop(self) -> None:
        """End what was brought; nothing more will be."""
        self._is_left = True
        self._engine.stop(self, CancelReason.CALLER)

    async def wait_returned(self) -> None:
        """Wait until no request is out."""
        while self._out > 0:
            await self._changed.park()


@protected(PROCESS)
@asynccontextmanager
async def open_stream[R](
    engine: Engine,
    stream: ResponseStream[R],
    source: Iterable[object] | AsyncIterable[object],
) -> AsyncIterator[ResponseStream[R]]:
    """Feed the stream while the block runs; leave nothing behind it."""
    engine.owner.check(ITERATE)
    try:
        async with open_nursery() as nursery:
            nursery.start_soon(stream.feed, source)
            try:
                yield stream
            finally:
                nursery.cancel_scope.cancel()
                stream.stop()
                await wait_to_the_end(engine.patience, stream.wait_returned)
    finally:
        await close_source(stream.items)
