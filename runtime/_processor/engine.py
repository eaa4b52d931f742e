"""How a request travels: the processor's bookkeeping, all in the Trio thread.

* **REQ-1** admit: take places at the bound (`Admission`), or wait, be refused, or
  have the oldest dropped. Then the ``prepare`` hook runs, if there is one.
* **REQ-2** queue: wait in a lane (`Lanes`).
* **REQ-3** send: while the workers have fewer than `BATCHES_PER_WORKER` batches each,
  one more is cut from the lanes, if it is due: full, or delayed long enough. All
  batches go to one lane of the pool, or a LOW batch could be overtaken for ever.
* **REQ-4** return: each request of a batch has an outcome; a failed one may go back
  to REQ-2 after a delay.
* **REQ-5** answer: after the ``finish`` hook, if there is one. The places are free
  again; the receiver has its answer.

Every accepted request is answered, exactly once. Three rules see to it:

* **REQ-6** end: a request that is not wanted any more (its caller left, its time is
  over, the processor ends) is marked once, with the reason. From then on nothing is
  begun for it: no hook, no attempt, no delay. If nothing runs for it, it is answered
  at once: it waits in a lane or for its next attempt, a hook runs for it (which is
  cancelled), or its batch has not begun and nobody wants any of it (which is
  withdrawn). If it runs, its batch is asked to stop once nobody wants any of it, and
  it is answered when the batch is back: with its response if there is no ``finish``,
  with its error if it failed, else with `TaskCancelled`.
* **REQ-7** shield: what the processor runs for requests, its hooks and its clock, is
  out of reach of the scopes around its block. A cancellation of the block arrives in
  the block's body alone; when the body lets it out, REQ-6 ends all requests, and the
  clock goes on until the last is answered. So a body that is shielded can go on
  working, and what comes back late finds all it needs.

* **REQ-8** fault: a bug of ours that shows where a batch is sent or comes back, or at a
  timer, closes the processor. What it lost and all that waits is answered with
  `InternalError`; batches that are sent come back as ever.

A request that waits at the bound is not accepted yet: its task leaves when it is
cancelled, and is refused when the processor or the pool is closed.

Layer: processor.
"""

import logging
import math
from collections.abc import Callable, Hashable, Sequence
from contextvars import Context
from functools import partial
from random import Random
from typing import TYPE_CHECKING, cast

import outcome
import trio

from .._core import job_context, own_context, sync
from .._errors import (
    BackpressureExceeded,
    CancelReason,
    CrossingError,
    InternalError,
    PoolClosedError,
    TaskCancelled,
)
from .._frontend.options import callable_name, check_least
from .._frontend.protected import start_task
from .._frontend.token import is_end
from .._util import is_a
from .admission import Admission
from .batch import LONGEST, Handler, RequestBatch, deadlines_ns
from .batch_size import BatchSize
from .config import ParallelConfig
from .counts import Counts
from .hooks import Hook, Hooks
from .lanes import Lanes
from .observer import Observer
from .request import Receiver, Request
from .tally import WorkerTally
from .timers import Timer, Timers

if TYPE_CHECKING:
    from .._frontend.intake import Intake

__all__ = ("Engine",)

_logger = logging.getLogger("runtime")

# One running and one ready keeps a worker from waiting for the Trio thread.
BATCHES_PER_WORKER = 2
# The weight of the newest batch in the mean time of a request. Arbitrary.
NEWEST_WEIGHT = 0.1


class Engine:
    """Everything a processor has to do, between its producers and its pool.

    Args:
      intake: The pool's.
      nursery: For hooks and timers; outlives every request.
      crosses: Whether the pool's workers are interpreters.

    Thread safety: externally synchronized, by the Trio thread.
    """

    def __init__(
        self,
        name: str,
        handler: Handler,
        config: ParallelConfig,
        intake: "Intake",
        nursery: trio.Nursery,
        *,
        prepare: Hook | None,
        finish: Hook | None,
        crosses: bool,
    ) -> None:
        self.name = name
        self.owner = intake.owner
        self.config = config
        self.counts = Counts()
        self.observer = Observer(name)
        self.is_closing = False
        worker_count = intake.backend.worker_count
        self.tallies = [WorkerTally() for _ in range(worker_count)]
        self._handler = handler
        self._intake = intake
        self.patience = intake.patience
        self._prepare = prepare
        self._finish = finish
        self._crosses = crosses
        self._label = callable_name(handler.fn)
        self._context = job_context()
        self._max_sent = min(
            config.max_concurrent_batches, BATCHES_PER_WORKER * worker_count
        )
        self._size_limit = config.max_batch_bytes or math.inf
        self.size = BatchSize(
            config, limit=max(1, config.max_pending_tasks // self._max_sent)
        )
        self.admission = Admission(config.max_pending_tasks)
        self.lanes = Lanes(round(min(config.ageing, LONGEST) * 1e9))
        self._hooks = Hooks(nursery, partial(self.cancel, CancelReason.CLOSED))
        self._timers = Timers()
        self._sent: dict[RequestBatch, None] = {}  # used as an ordered set
        self._retrying: dict[Request, Timer] = {}
        self._delayed: Timer | None = None
        self._random = Random()
        self._mean_ns = 0.0  # of a request, lately
        self._emptied = trio.lowlevel.ParkingLot()
        start_task(nursery, self._timers.run)  # REQ-7 shield

    # The way in

    def check_open(self) -> None:
        """Raise unless a request may be brought."""
        if self.is_closing:
            raise PoolClosedError(self.name)
        self._intake.check_open()

    def measure(self, request: Request) -> None:
        """Ask the user's functions what a request costs; they may raise."""
        config = self.config
        # Whole numbers: sums of fractions do not go back to what they were.
        if config.cost_of is not None:
            cost = config.cost_of(request.value)
            check_least(cost, 0, "what cost_of returns")
            request.cost = math.ceil(min(max(1, cost), config.max_pending_tasks))
        if config.max_batch_bytes is not None:
            size = config.size_of(request.value)
            check_least(size, 0, "what size_of returns")
            request.size = math.ceil(min(size, config.max_batch_bytes + 1))

    def offer(self, request: Request) -> bool:
        """Accept a request, if that needs no wait and no choice."""
        self.check_open()
        if not self.admission.try_take(request.cost):
            return False
        self._accept(request)
        self.dispatch()
        return True

    async def admit(self, request: Request) -> None:
        """Accept a request that `offer` did not, as the configuration says.

        Raises:
          BackpressureExceeded: the request is refused.
          PoolClosedError: the processor was closed meanwhile.
        """
        mode = self.config.backpressure
        if mode == "wait":
            await self._wait_taken(request.cost, request.share)
        elif mode == "refuse" or not self._make_room(request):
            self.counts.refused += 1
            self.observer.note_refused()
            raise BackpressureExceeded(self.name, self.retry_after())
        self._accept(request)
        self.dispatch()

    async def admit_together(self, requests: list[Request], share: Hashable) -> None:
        """Accept requests in one step, waiting for the places of all of them."""
        self.check_open()
        left = self.config.max_pending_tasks
        for request in requests:
            request.cost = min(request.cost, left)
            left -= request.cost
        cost = self.config.max_pending_tasks - left
        if not self.admission.try_take(cost):
            await self._wait_taken(cost, share)
        for request in requests:
            self._accept(request)
        self.dispatch()

    async def _wait_taken(self, cost: int, share: Hashable) -> None:
        await self.admission.wait_taken(cost, share)
        try:
            self.check_open()
        except BaseException:
            self.admission.give_back(cost)
            raise

    def retry_after(self) -> float:
        """Return how many seconds the accepted requests will take, by recent ones."""
        ahead_ns = self._mean_ns * self.counts.in_flight / len(self.tallies)
        return max(0.001, ahead_ns / 1e9)

    def reject(self, request: Request) -> None:
        """Take a request that has its answer already: it could not be made."""
        self.counts.accepted += 1
        self.counts.failed += 1
        request.receiver.receive(request)

    def _make_room(self, request: Request) -> bool:
        """Drop what is older, until the request has its places; False if none would."""
        available = self.admission.free + self.lanes.cost_not_above(request.lane)
        if request.cost > available:
            return False
        while not self.admission.try_take(request.cost, overtakes=True):
            oldest = self.lanes.take_droppable(request.lane)
            assert oldest is not None
            self.counts.dropped += 1
            self.observer.note_refused()
            error = BackpressureExceeded(self.name, self.retry_after())
            self._settle(oldest, outcome.Error(error), hand_over=False)
        return True

    def _accept(self, request: Request) -> None:
        request.accepted_ns = sync.clock_ns()  # REQ-1 admit
        self.counts.accepted += 1
        if request.timeout is not None:
            due_at = trio.current_time() + request.timeout
            request.timers = [self._at(due_at, self._time_out, request)]
        if request.deadline is not None:
            timer = self._at(request.deadline, self._expire, request)
            request.timers = [*(request.timers or ()), timer]
        if self._prepare is not None:
            self._hooks.start(self._prepare, request, request.value, self._prepared)
        else:
            self._queue(request)

    def _prepared(self, request: Request, result: outcome.Maybe[object] | None) -> None:
        if type(result) is outcome.Value:
            request.value = result.value
            self._queue(request)
            self.dispatch()
        else:
            self._finished(request, result)

    # To the workers

    def _queue(self, request: Request) -> None:
        if self.config.batch_delay:
            request.queued_at = trio.current_time()
        self.lanes.push(request)  # REQ-2 queue

    def dispatch(self) -> None:
        """Send what is due, as long as the workers should have more."""
        while self.lanes and len(self._sent) < self._max_sent:
            if self.config.batch_delay and not self._is_due():
                return
            error = self._refusal()
            if error is not None:
                self._give_up(error)
                return
            requests = self.lanes.take(self.size.current, self._size_limit)
            try:
                self._send(requests)
            except Exception as fault:
                if requests[0].batch is not None:
                    self._sent.pop(requests[0].batch, None)
                self._fail(fault, requests)

    def _give_up(self, error: Exception) -> None:
        """Answer everything that waits for a worker: none will come."""
        requests = self.lanes.take_all()
        for request, timer in self._retrying.items():
            timer.cancel()
            requests.append(request)
        self._retrying.clear()
        for request in requests:
            self._count_and_settle(request, outcome.Error(error))

    def _refusal(self) -> Exception | None:
        """Return why the pool takes nothing more, if it was closed under us."""
        try:
            self._intake.check_open()
        except Exception as error:
            return error
        return None

    def _is_due(self) -> bool:
        """Return whether a batch should go; else see to it that one will."""
        if self._delayed is not None:
            self._delayed.cancel()
            self._delayed = None
        if len(self.lanes) >= self.size.current or self.lanes.size >= self._size_limit:
            return True
        head = self.lanes.next()
        assert head is not None
        due_at = head.queued_at + self.config.batch_delay
        if self.is_closing or due_at <= trio.current_time():
            return True
        self._delayed = self._at(due_at, self.dispatch)
        return False

    def _send(self, requests: list[Request]) -> None:
        context, contexts = self._contexts(requests)
        batch = RequestBatch(
            self._intake,
            self._handler,
            requests,
            context,
            take_back=self._take_back,
            deadlines=deadlines_ns(requests),
            contexts=contexts,
            tallies=self.tallies if self.config.enable_statistics else None,
            may_interrupt=self.config.on_timeout == "interrupt"
            and requests[0].timeout is not None,  # so it is alone
            crosses=self._crosses,
        )
        for request in requests:
            request.batch = batch
            request.attempts += 1
        self._sent[batch] = None
        self._intake.inject(batch, batch)  # REQ-3 send

    def _contexts(
        self, requests: list[Request]
    ) -> tuple[Context, list[Context] | None]:
        """Return the batch's context, and its requests' where they differ."""
        first = requests[0].context
        if all(request.context is first for request in requests):
            return first.copy(), None
        if self._handler.takes_batch:  # one call cannot be in several contexts
            return self._context.copy(), None
        contexts = [request.context.run(own_context) for request in requests]
        return self._context.copy(), contexts

    # And back

    def _take_back(self, batch: RequestBatch, error: BaseException | None) -> None:
        try:
            self._return(batch, error)
        except Exception as fault:
            self._fail(fault, batch.requests)

    def _return(self, batch: RequestBatch, error: BaseException | None) -> None:
        if batch not in self._sent:
            return  # it was answered before its entry left the pool
        del self._sent[batch]
        outcomes = batch.outcomes
        ran = len(outcomes)
        self._learn(batch, ran)
        self.observer.note_batch(batch, outcomes)
        if batch.is_abandoned:
            self._note_emptied()
        elif is_a(error, CrossingError) and len(batch.requests) > 1:
            self._send_alone(batch)
        else:
            for index, request in enumerate(batch.requests):
                request.batch = None  # REQ-4 return
                result = outcomes[index] if index < ran else None
                if result is not None:
                    self._returned(request, result, batch)
                elif error is None:
                    is_late = request.deadline is not None
                    why = CancelReason.DEADLINE if is_late else CancelReason.ITSELF
                    self._settle_ended(request, batch, why)
                else:  # the runtime's own: no reason to try again
                    self._count_and_settle(request, outcome.Error(error))
        self.dispatch()

    def _send_alone(self, batch: RequestBatch) -> None:
        """Send requests once more, one by one: one of them cannot cross."""
        for request in batch.requests:
            request.batch = None
            request.attempts -= 1  # it was not run
            if request.ending is not None:
                self._settle_cancelled(request, request.ending)
            elif (error := self._refusal()) is not None:
                self._count_and_settle(request, outcome.Error(error))
            else:
                self._send([request])

    def _learn(self, batch: RequestBatch, ran: int) -> None:
        if ran:
            self.size.learn(ran, batch.elapsed_ns)
            newest_ns = batch.elapsed_ns / ran
            weight = NEWEST_WEIGHT if self._mean_ns else 1.0
            self._mean_ns += weight * (newest_ns - self._mean_ns)

    def _settle_ended(
        self, request: Request, batch: RequestBatch, otherwise: CancelReason
    ) -> None:
        """Answer a request that was not run, or that ended as cancelled."""
        reason = request.ending or batch.token.reason or otherwise
        self._settle_cancelled(request, reason)

    def _returned(
        self, request: Request, result: outcome.Maybe[object], batch: RequestBatch
    ) -> None:
        if type(result) is outcome.Error:
            if is_end(result.error):
                self._settle_ended(request, batch, CancelReason.ITSELF)
                return
            if request.ending is None and self._retries(request, result.error):
                return
        elif self._finish is not None:
            if request.ending is not None:  # REQ-6 end: nothing is begun for it
                self._settle_cancelled(request, request.ending)
                return
            assert isinstance(result, outcome.Value)
            finish = self._finish
            self._hooks.start(finish, request, result.value, self._finished)
            return
        self._count_and_settle(request, result)

    def _finished(self, request: Request, result: outcome.Maybe[object] | None) -> None:
        if result is None:
            self._settle_cancelled(request, CancelReason.ITSELF)
        else:
            self._count_and_settle(request, result)

    def _retries(self, request: Request, error: BaseException) -> bool:
        policy = self.config.retry
        if policy is None or not policy.covers(error, request.attempts):
            return False
        delay = policy.delay_before(request.attempts + 1, self._random)
        self.counts.retried += 1
        due_at = trio.current_time() + delay
        self._retrying[request] = self._at(due_at, self._retry, request)
        return True

    def _retry(self, request: Request) -> None:
        del self._retrying[request]
        self._queue(request)
        self.dispatch()

    # The end of a request

    def withdraw(self, request: Request, reason: CancelReason) -> bool:
        """End a request; False if it runs, or is answered."""
        if request.is_queued:
            self.lanes.remove(request)
        elif request in self._retrying:
            self._retrying.pop(request).cancel()
        elif not self._hooks.cancel(request):
            return self._withdraw_sent(request, reason)
        self._settle_cancelled(request, reason)
        return True

    def _withdraw_sent(self, request: Request, reason: CancelReason) -> bool:
        """End a request that is with a worker; False if it goes on."""
        batch = request.batch
        if batch is None:
            return False
        if request.ending is None:
            request.ending = reason  # REQ-6 end: once
        if all(neighbour.ending is not None for neighbour in batch.requests):
            batch.stop(reason)
        return request.batch is None

    def _expire(self, request: Request) -> None:
        """End a request at its deadline unless it has begun."""
        is_waiting = request.is_queued or request in self._retrying
        if is_waiting or (request.attempts == 0 and request.batch is None):
            self.withdraw(request, CancelReason.DEADLINE)

    def _time_out(self, request: Request) -> None:
        batch, mode = request.batch, self.config.on_timeout
        if batch is not None and mode == "abandon":
            self._leave(request, batch)
            return
        is_over = self.withdraw(request, CancelReason.TIMEOUT)
        if batch is not None and mode == "interrupt" and not is_over:
            batch.interrupt()

    def _leave(self, request: Request, batch: RequestBatch) -> None:
        """Withdraw a request at its timeout, or answer it and let it run on."""
        request.ending = CancelReason.TIMEOUT  # REQ-6 end
        if not batch.end_unbegun():
            batch.abandon(request.ending)
            request.batch = None
            self._settle_cancelled(request, request.ending)

    def stop(self, receiver: Receiver, reason: CancelReason) -> None:
        """End all requests of one receiver; those that run may take a while."""
        self._stop(lambda request: request.receiver is receiver, reason)

    def cancel(self, reason: CancelReason) -> None:
        """Accept nothing more, and end everything."""
        self._turn_away()
        self._stop(lambda _request: True, reason)

    def _stop(self, concerns: Callable[[Request], bool], reason: CancelReason) -> None:
        waiting = [*self.lanes.requests(), *self._retrying, *self._hooks.requests()]
        # ORDER: newest first; else the end of what runs lets begin what is to be
        # withdrawn.
        for batch in reversed(self._sent):
            waiting += batch.requests
        for request in filter(concerns, waiting):
            if request.answer is None:
                self.withdraw(request, reason)

    def _count_and_settle(
        self, request: Request, result: outcome.Maybe[object]
    ) -> None:
        if type(result) is outcome.Value:
            self.counts.processed += 1
        else:
            self.counts.failed += 1
        self._settle(request, result)

    def _settle_cancelled(self, request: Request, reason: CancelReason) -> None:
        self.counts.withdrawn += 1
        self._settle(request, outcome.Error(TaskCancelled(self._label, reason)))

    def _settle(
        self, request: Request, result: outcome.Maybe[object], *, hand_over: bool = True
    ) -> None:
        if request.timers is not None:
            for timer in request.timers:
                timer.cancel()
            request.timers = None
        request.answer = result  # REQ-5 answer
        request.value = None  # the user's; it may be large
        self.admission.give_back(request.cost, hand_over=hand_over)
        request.receiver.receive(request)
        self._note_emptied()

    def _note_emptied(self) -> None:
        if self.is_closing and not self.counts.in_flight and not self._sent:
            self._emptied.unpark_all()

    # The end

    def _at[*Ts](self, time: float, step: Callable[[*Ts], None], *args: *Ts) -> Timer:
        def due() -> None:
            try:
                step(*args)
            except Exception as fault:
                self._fail(fault, cast("tuple[Request, ...]", args))

        return self._timers.at(time, due)

    def _fail(self, fault: Exception, lost: Sequence[Request]) -> None:
        """Close after a bug of ours; answer what it lost, and all that waits."""
        # REQ-8 fault
        _logger.error("processor %r failed and closes", self.name, exc_info=fault)
        self._turn_away()
        for timer in self._retrying.values():
            timer.cancel()
        waiting = [*lost, *self._retrying, *self.lanes.take_all()]
        self._retrying.clear()
        for request in waiting:
            # A batch that is sent comes back by itself.
            if request.answer is None and request.batch not in self._sent:
                self._hooks.cancel(request)
                error = InternalError(f"processor {self.name!r} failed")
                error.__cause__ = fault
                self._count_and_settle(request, outcome.Error(error))
        self._note_emptied()

    def _turn_away(self) -> None:
        """Accept nothing more, not even from who waits for a place."""
        self.is_closing = True
        self.admission.turn_away(partial(PoolClosedError, self.name))

    def close(self) -> None:
        """Stop the clock: every request is answered."""
        self._timers.close()

    async def drain(self) -> None:
        """Wait until every request is answered and every batch is back."""
        self._turn_away()
        self.dispatch()  # nobody comes to fill a delayed batch
        while self.counts.in_flight or self._sent:
            await self._emptied.park()
