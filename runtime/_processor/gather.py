"""Many requests, one wait: `execute_parallel_batch` and `execute_chunked_parallel`.

Layer: processor.
"""

from collections.abc import Hashable, Iterable, Sequence
from itertools import batched, count
from typing import cast

import outcome
import trio

from .._core import sync
from .._errors import CancelReason, PoolClosedError
from .._frontend.batch import as_sequence
from .._frontend.options import check_items
from .._frontend.patience import wait_to_the_end
from .engine import Engine
from .maker import DeadlineOption, PriorityOption, RequestMaker
from .request import ExactShare, Request
from .window import Window

__all__ = ("PROCESS", "Gathering", "as_list")

# The calls as they should be written, for errors.
GATHER = "await processor.execute_parallel_batch(requests)"
PROCESS = "async with processor.process(requests) as responses: ..."
# How long bringing requests may keep the Trio thread at a stretch. Arbitrary.
TURN_NS = 500_000


class Gathering[R]:
    """The answers to some requests, in the requests' order.

    Thread safety: externally synchronized, by the Trio thread.
    """

    def __init__(
        self,
        engine: Engine,
        requests: Sequence[object],
        *,
        priority: PriorityOption,
        deadline: DeadlineOption,
        chunk_size: int | None = None,
    ) -> None:
        self._engine = engine
        self._values = requests
        self._share: Hashable = self if chunk_size is None else ExactShare(chunk_size)
        self._chunk_size = chunk_size
        self._maker = RequestMaker(
            engine, self, self._share, priority=priority, deadline=deadline
        )
        self._window = Window(engine.config.max_pending_tasks)
        self._answers: list[outcome.Maybe[R] | None] = [None] * len(requests)
        self._out = 0
        self._returned = trio.lowlevel.ParkingLot()

    async def run(self) -> list[outcome.Maybe[R]]:
        """Bring the requests, wait, and return the answers."""
        try:
            if self._chunk_size is None:
                await self._bring_singly()
            else:
                await self._bring_in_chunks(self._chunk_size)
            if self._out == 0:  # none could even be made
                await trio.lowlevel.checkpoint()
            await self._wait_returned()
        except BaseException as error:
            self._engine.stop(self, CancelReason.CALLER)
            await wait_to_the_end(self._engine.patience, self._wait_returned)
            if isinstance(error, PoolClosedError):  # maybe because of a failed hook,
                await trio.lowlevel.checkpoint_if_cancelled()  # which cancelled us
            raise
        return cast("list[outcome.Maybe[R]]", self._answers)

    async def _bring_singly(self) -> None:
        engine, maker, window = self._engine, self._maker, self._window
        begin_ns = sync.clock_ns()
        for position, value in enumerate(self._values):
            while not window.try_take():
                await window.wait_free()
            request = maker.make_or_fail(value, position)
            self._out += 1
            if request.answer is not None:
                engine.reject(request)
                continue
            try:
                if not engine.offer(request):
                    await engine.admit_together([request], self._share)
            except BaseException:
                self._out -= 1
                raise
            if sync.clock_ns() - begin_ns > TURN_NS:
                await trio.lowlevel.checkpoint()
                begin_ns = sync.clock_ns()

    async def _bring_in_chunks(self, chunk_size: int) -> None:
        positions = count()
        length = min(chunk_size, len(self._values))  # what `batched` can count
        for chunk in batched(self._values, length, strict=False):
            made = [self._maker.make_or_fail(v, next(positions)) for v in chunk]
            self._out += len(chunk)
            requests = [request for request in made if request.answer is None]
            for request in made:
                if request.answer is not None:
                    self._engine.reject(request)
            try:
                await self._engine.admit_together(requests, self._share)
            except BaseException:
                self._out -= len(requests)
                raise
            await trio.lowlevel.checkpoint()

    def receive(self, request: Request) -> None:
        """Put an answer in its place."""
        self._answers[request.position] = cast("outcome.Maybe[R]", request.answer)
        self._out -= 1
        self._window.give_back()
        if self._out == 0:
            self._returned.unpark_all()

    async def _wait_returned(self) -> None:
        while self._out > 0:
            await self._returned.park()


def as_list[T](requests: Iterable[T]) -> Sequence[T]:
    """Return the requests as something with a length and an order."""
    check_items(requests, GATHER, PROCESS)
    return as_sequence(requests)
