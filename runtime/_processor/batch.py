"""Some requests on their way to a worker, and their outcomes on the way back.

What a worker needs is laid out in lists when the batch is sent: it never touches a
`Request`, which belongs to the Trio thread. (On free-threaded builds that also saves
an atomic operation for each look at an object that another thread made.)

Layer: processor. Imports: `runtime._core`, `runtime._frontend`, outcome.
"""

from collections.abc import Callable, Sequence
from contextvars import Context
from types import CodeType
from typing import TYPE_CHECKING, NamedTuple

import outcome

from .. import _core
from .._core import current_worker, sync
from .._errors import JobCancelled, JobInterrupted
from .._frontend.options import callable_name
from .._frontend.token import WorkToken
from .._frontend.work import Verdict, are_over, verdict_of
from .request import Request
from .tally import WorkerTally

if TYPE_CHECKING:
    from .._frontend.intake import Intake

__all__ = ("Handler", "RequestBatch")


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
      may_interrupt: Whether `interrupt` does anything. Only for a single request: the
        interrupt meets a batch, and cannot tell which of its requests runs.

    Thread safety: what `Job` says; all else belongs to the Trio thread.
    """

    __slots__ = (
        "_intake",
        "_take_back",
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
    ) -> None:
        assert len(requests) == 1 or not may_interrupt
        # Filled by the worker as it goes, so that an error loses no answer. None
        # stands for a request that was not run.
        self.outcomes: list[outcome.Maybe[object] | None] = []
        values = [request.value for request in requests]
        accepted = [request.accepted_ns for request in requests]
        run = _run_whole if handler.takes_batch else _run_each
        super().__init__(
            _run,
            (run, handler.fn, values, contexts, accepted, deadlines, tallies, self),
            context,
            token=WorkToken(intake, may_interrupt=may_interrupt),
            sink=RequestBatch._left,
        )
        self._intake = intake
        self._take_back = take_back
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
        error = result.error if isinstance(result, outcome.Error) else None
        self._take_back(self, None if isinstance(error, JobCancelled) else error)

    def verdict(self) -> Verdict:
        """Tell how the batch ended."""
        return verdict_of(self)

    def stop(self, cause: str | None) -> None:
        """Withdraw the batch, or ask what runs to end."""
        self.token.request_stop(cause)
        self._intake.registry.withdraw(self)

    def interrupt(self) -> None:
        """Have the request interrupted where it runs, if the batch allows it."""
        self.token.request_interrupt(are_over([self]))

    def fail(self, error: BaseException) -> None:
        """Answer with an error of the runtime's own; nothing comes back."""
        self._take_back(self, error)

    def abandon(self) -> None:
        """Go on without the batch; it still has its place with the workers."""
        self.is_abandoned = True
        self._intake.note_abandoned(self)

    def _left(self) -> None:
        self._intake.port.post(self)


type _Runner = Callable[..., "_Times"]


class _Times(NamedTuple):
    """When the requests of a batch that were run were accepted, begun and ended."""

    accepted: list[int]
    begins: list[int]
    ends: list[int]
    run_count: int = 1
    """By how many requests each stretch of time was shared."""


def _run(
    run: _Runner,
    fn: Callable[..., object],
    values: list[object],
    contexts: list[Context] | None,
    accepted: list[int],
    deadlines: list[int] | None,
    tallies: Sequence[WorkerTally] | None,
    batch: RequestBatch,
) -> None:
    """Call the handler on a worker, and measure."""
    worker = current_worker()
    assert worker is not None
    begin_ns = sync.clock_ns()
    times = run(fn, values, contexts, accepted, deadlines, batch.token, batch.outcomes)
    batch.worker_index = worker.index
    batch.elapsed_ns = sync.clock_ns() - begin_ns
    if tallies is not None:
        tally = tallies[worker.index]
        tally.note_batch(batch.elapsed_ns)
        if times.begins:
            tally.note_requests(*times)


def _run_each(
    fn: Callable[[object], object],
    values: list[object],
    contexts: list[Context] | None,
    accepted: list[int],
    deadlines: list[int] | None,
    token: WorkToken,
    outcomes: list[outcome.Maybe[object] | None],
) -> _Times:
    """Call the handler for one request after the other."""
    clock_ns = sync.clock_ns
    times = _Times([], [], [])
    add_accepted, add_begin, add_end = (each.append for each in times[:3])
    for index, value in enumerate(values):
        if token.is_set:
            break
        begin_ns = clock_ns()
        if deadlines is not None and 0 < deadlines[index] < begin_ns:
            outcomes.append(None)
            continue
        try:
            if contexts is None:
                result: outcome.Maybe[object] = outcome.Value(fn(value))
            else:
                result = outcome.Value(contexts[index].run(fn, value))
        except (JobCancelled, JobInterrupted):
            outcomes.append(None)
            continue
        except BaseException as error:  # the request's outcome, be it even SystemExit
            result = outcome.Error(_without_our_frame(error))
        add_end(clock_ns())
        add_begin(begin_ns)
        add_accepted(accepted[index])
        outcomes.append(result)
    return times


def _run_whole(
    fn: Callable[[list[object]], list[object]],
    values: list[object],
    _contexts: None,
    accepted: list[int],
    deadlines: list[int] | None,
    _token: WorkToken,
    outcomes: list[outcome.Maybe[object] | None],
) -> _Times:
    """Call the handler once for all requests that may still begin."""
    begin_ns = sync.clock_ns()
    runs = [True] * len(values)
    if deadlines is not None:
        runs = [not 0 < deadline < begin_ns for deadline in deadlines]
    given = [value for value, is_run in zip(values, runs, strict=True) if is_run]
    answers = iter(_answers(fn, given) if given else ())
    end_ns = sync.clock_ns()
    outcomes.extend(next(answers) if is_run else None for is_run in runs)
    begun = [ns for ns, is_run in zip(accepted, runs, strict=True) if is_run]
    count = len(begun)
    return _Times(begun, [begin_ns] * count, [end_ns] * count, run_count=count)


def _answers(
    fn: Callable[[list[object]], list[object]], given: list[object]
) -> list[outcome.Maybe[object] | None]:
    try:
        results = list(fn(given))
        if len(results) != len(given):
            raise ValueError(
                f"{callable_name(fn)} returned {len(results)} responses for a batch of "
                f"{len(given)} requests; it must return one for each"
            )
    except (JobCancelled, JobInterrupted):
        return [None] * len(given)
    except BaseException as error:  # the outcome of each of them
        _without_our_frame(error)
        return [outcome.Error(error) for _ in given]
    return [outcome.Value(result) for result in results]


def _without_our_frame(error: BaseException) -> BaseException:
    """Cut our frame from the top of a traceback: the user's call is what failed."""
    traceback = error.__traceback__
    if traceback is not None and traceback.tb_next is not None:
        error.__traceback__ = traceback.tb_next
    return error
