"""Some requests on their way to a worker, and their outcomes on the way back.

What a worker needs is laid out in lists when the batch is sent: it never touches a
`Request`, which belongs to the Trio thread. (On free-threaded builds that also saves
an atomic operation for each look at an object that another thread made.)

On threads the worker fills in the outcomes and counts. Where the pool's workers are
interpreters, both come back with the result, and are taken in by the Trio thread.

Layer: processor.
"""

from collections.abc import Callable, Sequence
from contextvars import Context
from types import CodeType
from typing import TYPE_CHECKING, Any, cast

import outcome
import trio

from .. import _core
from .._backends.blame import check_crosses
from .._backends.requests import (
    Answers,
    Crossed,
    Times,
    decoded,
    run_crossed,
    run_each,
    run_whole,
)
from .._core import current_worker, sync
from .._errors import CancelReason, CrossingError, JobCancelled
from .._frontend.options import callable_name
from .._frontend.token import WorkToken
from .._frontend.work import Verdict, are_over, verdict_of
from .._util import is_a
from .request import Request
from .tally import WorkerTally

if TYPE_CHECKING:
    from .._frontend.intake import Intake

__all__ = ("LONGEST", "Handler", "RequestBatch", "deadlines_ns")

# Seconds that stand for all that is longer. A deadline so far away is none to a
# worker: it counts in 64 bits.
LONGEST = 1e9


class Handler:
    """The user's handler, and how it is called.

    Attributes:
      fn: What the user gave.
      takes_batch: Whether it is given a list of requests, or one at a time.
    """

    __slots__ = ("fn", "takes_batch")

    def __init__(self, fn: Callable[..., object], *, takes_batch: bool) -> None:
        self.fn = fn
        self.takes_batch = takes_batch


class RequestBatch(_core.Job):
    """One job for several requests.

    Args:
      take_back: Called with the batch in the Trio thread when it is over, with an
        error if the runtime ended it without waiting for it.
      deadlines: The time of the worker's clock after which a request does not
        begin; 0 for none. None if no request has one.
      contexts: One per request, or None where the batch's own is right for all.
      tallies: One per worker; None to measure nothing.
      crosses: Whether the workers are interpreters.
      may_interrupt: Whether `interrupt` does anything. Only for a single request: the
        interrupt meets a batch, and cannot tell which of its requests runs.

    Thread safety: what `Job` says; all else belongs to the Trio thread.
    """

    __slots__ = (
        "_accepted",
        "_intake",
        "_take_back",
        "_tallies",
        "code",
        "elapsed_ns",
        "is_abandoned",
        "name",
        "outcomes",
        "requests",
        "worker_index",
    )

    # Immutable, so a narrower type is sound.
    token: WorkToken  # pyright: ignore[reportIncompatibleVariableOverride]

    def __init__(
        self,
        intake: "Intake",
        handler: Handler,
        requests: list[Request],
        context: Context,
        *,
        take_back: "Callable[[RequestBatch, BaseException | None], None]",
        deadlines: list[int] | None,
        contexts: list[Context] | None,
        tallies: Sequence[WorkerTally] | None,
        may_interrupt: bool,
        crosses: bool,
    ) -> None:
        assert len(requests) == 1 or not may_interrupt
        # Filled by the worker as it goes, so that an error loses no answer. None
        # stands for a request that was not run.
        self.outcomes: Answers = []
        self._accepted = [request.accepted_ns for request in requests]
        token = WorkToken(intake, may_interrupt=may_interrupt)
        values = [request.value for request in requests]
        call: tuple[object, ...] = handler.takes_batch, handler.fn, values
        run: Callable[..., object] = _run
        if crosses:
            run = run_crossed
            call = *call, _sendable(contexts), deadlines, token
        else:
            call = *call, contexts, deadlines, self
        super().__init__(run, call, context, token=token, sink=RequestBatch._left)
        self._intake = intake
        self._take_back = take_back
        self._tallies = tallies
        self.requests = requests
        self.name = f"batch of {len(requests)} x {callable_name(handler.fn)}"
        self.code: CodeType | None = getattr(handler.fn, "__code__", None)
        self.elapsed_ns = 0  # owner: the worker, until the batch is back
        self.worker_index = -1  # owner: the worker, until the batch is back
        self.is_abandoned = False

    def deliver(self) -> None:
        """Hand the outcomes over; in the Trio thread."""
        self._intake.settle(self, holds_place=False)
        result, self.outcome = self.outcome, None
        error: BaseException | None = None
        if isinstance(result, outcome.Error):
            error = None if is_a(result.error, JobCancelled) else result.error
        elif result is not None and result.value is not None:
            error = self._take_in(cast("Crossed", result.value))
        if is_a(error, CrossingError) and len(self.requests) == 1:
            error = self._to_blame(error)
        self._take_back(self, error)

    def _to_blame(self, error: CrossingError) -> CrossingError:
        """Return the error in terms of the request, if that is what cannot cross."""
        try:
            check_crosses(self.requests[0].value, "request")
        except CrossingError as better:
            return better
        return error

    def _take_in(self, crossed: Crossed) -> BaseException | None:
        """Take in what was done elsewhere; return the error if that fails."""
        self.note(crossed.times, crossed.elapsed_ns, crossed.worker_index)
        try:
            self.outcomes = decoded(crossed.data)
        except BaseException as error:  # a response that cannot be loaded here
            return error
        return None

    def note(self, times: Times, elapsed_ns: int, worker_index: int) -> None:
        """Count what was run: on the worker, or after it came back."""
        self.worker_index = worker_index
        self.elapsed_ns = elapsed_ns
        if self._tallies is None:
            return
        tally = self._tallies[worker_index]
        tally.note_batch(elapsed_ns)
        if times.indices:
            accepted = [self._accepted[index] for index in times.indices]
            tally.note_requests(accepted, times.begins, times.ends, times.run_count)

    def verdict(self) -> Verdict:
        """Tell how the batch ended."""
        return verdict_of(self)

    def end_unbegun(self) -> bool:
        """Take the batch back if it has not begun; its requests are answered at once.

        Its entry may stay in a queue behind a job that does not end.
        """
        if not self._intake.backend.withdraw(self):
            return False
        self._take_back(self, None)
        return True

    def stop(self, reason: CancelReason) -> None:
        """Withdraw the batch, or ask what runs to end."""
        self.token.request_stop(reason)
        self.end_unbegun()

    def interrupt(self) -> None:
        """Have the request interrupted where it runs, if the batch allows it."""
        self.token.request_interrupt(are_over([self]))

    def fail(self, error: BaseException) -> None:
        """Answer with an error of the runtime's own; nothing comes back."""
        self._take_back(self, error)

    def abandon(self, reason: CancelReason) -> None:
        """Go on without the batch; it still has its place with the workers."""
        self.is_abandoned = True
        self.token.abandon(reason)
        self._intake.note_abandoned(self)

    @trio.lowlevel.enable_ki_protection  # in an inline pool
    def _left(self) -> None:
        self._intake.port.post(self)


def _run(
    is_whole: bool,
    fn: Callable[..., Any],
    values: list[object],
    contexts: list[Context] | None,
    deadlines: list[int] | None,
    batch: RequestBatch,
) -> None:
    """Call the handler on a worker's thread, and measure."""
    worker = current_worker()
    assert worker is not None
    run: Callable[..., Times] = run_whole if is_whole else run_each
    begin_ns = sync.clock_ns()
    times = run(fn, values, contexts, deadlines, batch.token, batch.outcomes)
    batch.note(times, sync.clock_ns() - begin_ns, worker.index)


def _sendable(
    contexts: list[Context] | None,
) -> list[tuple[tuple[str, str, object], ...]] | None:
    """Return the requests' context variables in the form in which they cross."""
    if contexts is None:
        return None
    from .._backends.variables import encode_variables

    return [encode_variables(context) for context in contexts]


def deadlines_ns(requests: list[Request]) -> list[int] | None:
    """Return the requests' deadlines by the worker's clock, 0 where there is none."""
    if all(request.deadline is None for request in requests):
        return None
    now_ns, now = sync.clock_ns(), trio.current_time()
    return [
        0
        if request.deadline is None
        else now_ns + round(min(max(request.deadline - now, 0.0), LONGEST) * 1e9)
        for request in requests
    ]
