"""What a job asks home for, encoded; and what came of it.

Layer: backends, both sides.
"""

from contextvars import copy_context

from .._errors import BrokenWorkerError, JobCancelled, JobInterrupted, PoolClosedError
from . import answers, blame, interrupting, replies
from .encoding import dumps, lend_large
from .variables import Variables, encode_variables

TYPE_CHECKING = False  # not from typing, which is slow to import
if TYPE_CHECKING:
    from collections.abc import Callable

    from .replies import Reply

__all__ = ("Asked", "decode_question", "encode_outcome", "encode_question", "unwrap")

# Whether the function is async, the function, its arguments, variables.
type Asked = tuple[bool, Callable[..., object], tuple[object, ...], Variables]


def encode_question(
    fn: "Callable[..., object]", args: tuple[object, ...], *, is_async: bool
) -> tuple[object, ...]:
    """Return the frames of a call, as seen from the current context."""
    try:
        call = is_async, fn, lend_large(args), encode_variables(copy_context())
        data, buffers = dumps(call)
        return (data, *(buffer.raw() for buffer in buffers))
    except Exception as error:
        raise blame.call_cannot_cross(fn, args, error) from error


def decode_question(frames: tuple[object, ...]) -> "Asked":
    """Return what was asked."""
    asked: Asked = replies.decode(frames[0], frames[1:])
    return asked


def encode_outcome(value: object, error: BaseException | None) -> "Reply":
    """Return the reply for a value or an error; never raises."""
    if issubclass(type(error), (JobCancelled, JobInterrupted)):
        return answers.CANCELLED, ()
    if error is not None:
        return replies.encode_error(error)
    try:
        return answers.VALUE, replies.encode(value, "result")
    except BaseException as failure:
        return replies.encode_error(failure)


def unwrap(answer: int, frames: tuple[object, ...], pool_name: str) -> object:
    """Return or raise what a reply stands for, in the job."""
    if answer == answers.CANCELLED:
        interrupting.raise_cancelled()
    if answer == answers.BROKEN:
        raise BrokenWorkerError(
            f"the interpreter of this job's worker in pool {pool_name!r} broke in "
            "another job, and what this one waits for may never come"
        )
    if answer == answers.NONE:
        raise PoolClosedError(pool_name)
    value = replies.decode(frames[0], frames[1:])
    if answer == answers.ERROR:
        raise value
    return value
