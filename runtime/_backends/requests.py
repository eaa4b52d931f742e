"""What a processor's batch of requests is on a worker, on either side of the border.

Layer: backends, both sides.
"""

import time
from typing import Any, NamedTuple

import outcome

from .._errors import JobCancelled, JobInterrupted
from .._unawaited import UNAWAITED
from . import blame, leaf
from .encoding import dumps_whole, loads
from .errors import without_frames_of
from .native_parts import own_context

TYPE_CHECKING = False  # as in all files that a worker's interpreter imports
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextvars import Context

    from .leaf import Token

__all__ = (
    "Answers",
    "Crossed",
    "Times",
    "accept",
    "decoded",
    "run_crossed",
    "run_each",
    "run_whole",
)

# One for each request, in order; None for one that was not run.
type Answers = list[outcome.Maybe[object] | None]

# An answer as it crosses: which of `_KINDS`, and what it holds.
type _Plain = tuple[int, Any] | None

_KINDS: tuple[Any, Any] = (outcome.Value, outcome.Error)
# The answer of what has ended as cancelled; without its frames, which are the user's.
_ENDED = outcome.Error(JobCancelled())
_OUR_FILES = (__file__, leaf.__file__)


class Times(NamedTuple):
    """Which requests of a batch were run, and when."""

    indices: list[int]
    begins: list[int]
    ends: list[int]
    run_count: int = 1
    """By how many requests each stretch of time was shared."""


class Crossed(NamedTuple):
    """What comes back of a batch that was run in another interpreter."""

    data: bytes
    """The answers, for `decoded`."""
    times: Times
    elapsed_ns: int
    worker_index: int


def accept(_fn: object) -> None:
    """Do nothing: what it was given has come to the worker."""


def run_each(
    fn: "Callable[[object], object]",
    values: list[object],
    contexts: "list[Context] | None",
    deadlines: list[int] | None,
    token: "Token",
    answers: Answers,
) -> Times:
    """Call the handler for one request after the other.

    Args:
      deadlines: The time after which a request does not begin; 0 for none.
      contexts: One per request, each its own; None where a copy of the calling one
        is right for each.
      answers: Is added to as it goes, so that an error loses no answer.
    """
    clock_ns = time.perf_counter_ns
    times = Times([], [], [])
    add_index, add_begin, add_end = (each.append for each in times[:3])
    for index, value in enumerate(values):
        if token.is_set:
            break
        begin_ns = clock_ns()
        if deadlines is not None and 0 < deadlines[index] < begin_ns:
            answers.append(None)
            continue
        try:
            context = own_context() if contexts is None else contexts[index]
            response = context.run(fn, value)
            if type(response) in UNAWAITED:
                _refuse_async(fn, [response])
            result: outcome.Maybe[object] = outcome.Value(response)
        except (JobCancelled, JobInterrupted):
            answers.append(_ENDED)
            continue
        except BaseException as error:  # the request's outcome, be it even SystemExit
            result = outcome.Error(without_frames_of(error, *_OUR_FILES))
        add_end(clock_ns())
        add_begin(begin_ns)
        add_index(index)
        answers.append(result)
    return times


def run_whole(
    fn: "Callable[[list[object]], list[object]]",
    values: list[object],
    _contexts: None,
    deadlines: list[int] | None,
    _token: "Token",
    answers: Answers,
) -> Times:
    """Call the handler once for all requests that may still begin."""
    begin_ns = time.perf_counter_ns()
    runs = [
        deadlines is None or not 0 < deadlines[index] < begin_ns
        for index in range(len(values))
    ]
    given = [value for value, is_run in zip(values, runs, strict=True) if is_run]
    results = iter(_answers(fn, given) if given else ())
    end_ns = time.perf_counter_ns()
    answers.extend(next(results) if is_run else None for is_run in runs)
    indices = [index for index, is_run in enumerate(runs) if is_run]
    count = len(indices)
    return Times(indices, [begin_ns] * count, [end_ns] * count, run_count=count)


def _refuse_async(fn: "Callable[..., object]", results: "Iterable[object]") -> None:
    """Raise for what should have been awaited."""
    from .._util import close_unawaited  # late, for each worker would pay for it

    kind = close_unawaited(*results)
    raise TypeError(
        f"a handler must be a sync function, but {fn!r} returned {kind}; what has "
        "to be awaited goes to prepare= and finish=, which run in Trio"
    )


def run_crossed(
    is_whole: bool,
    fn: "Callable[..., Any]",
    values: list[object],
    variables: list[tuple[tuple[str, str, object], ...]] | None,
    deadlines: list[int] | None,
    token: "Token",
) -> Crossed:
    """Run a batch inside another interpreter.

    Args:
      is_whole: Whether the handler takes all requests at once.
      variables: As ``contexts``, in the form in which they cross.
    """
    from . import child

    begin_ns = time.perf_counter_ns()
    run: Callable[..., Times] = run_whole if is_whole else run_each
    contexts = None
    if variables is not None:
        contexts = [child.context_of(each) for each in variables]
    answers: Answers = []
    times = run(fn, values, contexts, deadlines, token, answers)
    elapsed_ns = time.perf_counter_ns() - begin_ns
    return Crossed(_encoded(answers), times, elapsed_ns, child.worker_index())


def _encoded(answers: Answers) -> bytes:
    """Return the answers' bytes; one that cannot cross harms no other."""
    try:
        return dumps_whole([_plain(answer) for answer in answers])
    except Exception:
        return dumps_whole([_sendable(_plain(answer)) for answer in answers])


def decoded(data: bytes) -> Answers:
    """Return the answers of a batch that was run elsewhere."""
    plain: list[_Plain] = loads(data)
    return [None if each is None else _KINDS[each[0]](each[1]) for each in plain]


def _plain(answer: outcome.Maybe[object] | None) -> _Plain:
    # Half as dear to encode as the outcome itself.
    if answer is None:
        return None
    if type(answer) is outcome.Value:
        return 0, answer.value
    return 1, answer.error


def _sendable(plain: _Plain) -> _Plain:
    try:
        dumps_whole(plain)
    except Exception as error:
        assert plain is not None  # which can be sent
        return 1, blame.cannot_cross(plain[1], "response", error)
    return plain


def _answers(
    fn: "Callable[[list[object]], list[object]]", given: list[object]
) -> Answers:
    try:
        results = own_context().run(leaf.call_chunk, fn, given)
        if not UNAWAITED.isdisjoint(map(type, results)):
            _refuse_async(fn, results)
        return [outcome.Value(result) for result in results]
    except (JobCancelled, JobInterrupted):
        return [_ENDED] * len(given)
    except BaseException as error:  # the outcome of each of them
        without_frames_of(error, *_OUR_FILES)
        return [outcome.Error(error) for _ in given]
