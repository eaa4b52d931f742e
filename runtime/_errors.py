"""Every exception the runtime raises in its own name.

A user's exception arrives unchanged; the classes here speak only of the
runtime: whose fault it was, and what to do now. Each takes data and builds its
message, so the wording is the same everywhere and the data can be inspected.

Layer: rank 0.
"""

import enum
from _pickle import PicklingError  # the other half of `pickle` is slow to import

TYPE_CHECKING = False  # not from typing, which is slow to import
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = (
    "BackendUnavailableError",
    "BackpressureExceeded",
    "BrokenWorkerError",
    "CancelReason",
    "CrossingError",
    "DeadlockError",
    "InternalError",
    "JobCancelled",
    "JobInterrupted",
    "NotOnWorkerError",
    "ParallelError",
    "PoolClosedError",
    "TaskCancelled",
    "TaskFailed",
    "WrongThreadError",
)


class CancelReason(enum.Enum):
    """What ended a job or a request before it had a result.

    The values are stable: short names for logs and metrics.
    """

    DEADLINE = "deadline"
    """The request had not begun at its deadline."""
    TIMEOUT = "timeout"
    """The request had no answer within its timeout."""
    CALLER = "caller"
    """The caller was cancelled, or left the block of its map or stream."""
    JOB_CANCEL = "job_cancel"
    """`Job.cancel` was called."""
    SHUTDOWN = "shutdown"
    """`WorkerPool.shutdown` was called."""
    CLOSED = "closed"
    """The block of the pool or the processor was left by an error or a cancellation."""
    ITEM = "item"
    """Another item of the same batch or map failed, or ended itself."""
    ITSELF = "itself"
    """The function raised `JobCancelled` by itself."""
    FAILURE = "failure"
    """The runtime failed; whoever waits gets that failure instead."""


# Finish "was cancelled by ...".
_BY_WHOM = {
    CancelReason.DEADLINE: "its deadline",
    CancelReason.TIMEOUT: "its timeout",
    CancelReason.CALLER: "its caller",
    CancelReason.JOB_CANCEL: "Job.cancel()",
    CancelReason.SHUTDOWN: "shutdown()",
    CancelReason.CLOSED: "its pool or processor, whose block was left early",
    CancelReason.ITEM: "one of its items",
    CancelReason.ITSELF: "itself",
    CancelReason.FAILURE: "a failure of the runtime",
}


class ParallelError(Exception):
    """Base of the runtime's errors; a job's own error is never one of these."""

    def __reduce__(
        self,
    ) -> "tuple[Callable[..., ParallelError], tuple[object, ...]]":
        # By default pickle would call the class with the message.
        return _rebuilt, (type(self), self.args, self.__dict__)


def _rebuilt[E: ParallelError](
    kind: type[E], args: tuple[object, ...], attributes: dict[str, object]
) -> E:
    """Return an error of these parts, whatever its class is called with."""
    error = kind.__new__(kind, *args)  # sets ``args``
    error.__dict__.update(attributes)
    return error


class TaskFailed(ParallelError):
    """A job failed and its own error could not be carried across.

    Raised only where the error's type cannot be rebuilt on this side; the
    message shows what was raised there. Everywhere else the job's own error
    arrives unchanged.
    """


class TaskCancelled(ParallelError):
    """The job you wait for was ended by somebody else.

    Raised in a waiter whose job was ended by `Job.cancel`, by the pool or by
    `WorkerPool.shutdown`, or whose request a processor ended. A waiter whose own
    cancel scope was cancelled gets `trio.Cancelled` instead.

    Args:
      job_name: Name of the job.
      reason: What ended it.
    """

    def __init__(self, job_name: str, reason: CancelReason) -> None:
        super().__init__(f"job {job_name!r} was cancelled by {_BY_WHOM[reason]}")
        self.job_name = job_name
        self.reason = reason


class BackpressureExceeded(ParallelError):
    """The bound was reached and you asked to be refused rather than to wait.

    Args:
      processor_name: Name of the processor.
      retry_after: Seconds that the requests accepted before will take, as far as
        recent ones tell; a good time to wait before the next try.
    """

    def __init__(self, processor_name: str, retry_after: float) -> None:
        super().__init__(
            f"processor {processor_name!r} has reached its bound; try again in "
            f"{retry_after:.3g} s"
        )
        self.processor_name = processor_name
        self.retry_after = retry_after


class PoolClosedError(ParallelError, RuntimeError):
    """You used a pool after it was closed.

    Raised once its block is being left, `WorkerPool.shutdown` was called or its Trio
    run has ended. Not raised when the pool broke: that is `InternalError`. Where Trio
    is in use it is also a `trio.ClosedResourceError`.

    Args:
      pool_name: Name of the pool.
    """

    def __init__(self, pool_name: str) -> None:
        super().__init__(
            f"pool {pool_name!r} is closed: it takes no more work once its block is "
            "being left, shutdown() was called or its Trio run has ended"
        )
        self.pool_name = pool_name


class BrokenWorkerError(ParallelError, RuntimeError):
    """A worker died or could not start. Not raised when your function raised."""


class CrossingError(ParallelError, TypeError, PicklingError):
    """A callable, argument or result cannot cross to another interpreter.

    Also a `pickle.PicklingError`, which pools of processes raise for most of the same.
    """


class BackendUnavailableError(ParallelError, RuntimeError):
    """This build, or a missing extra, cannot provide the backend asked for.

    Args:
      backend: The name that was asked for.
      reason: Why it is missing and what to do, as one sentence.
    """

    def __init__(self, backend: str, reason: str) -> None:
        super().__init__(f"backend {backend!r} is not available: {reason}")
        self.backend = backend
        self.reason = reason


class DeadlockError(ParallelError, RuntimeError):
    """Waiting would never end: the work waited for needs the one who waits."""


class NotOnWorkerError(ParallelError, RuntimeError):
    """A function that only makes sense inside a job was called elsewhere.

    Args:
      function: What was called, as the user wrote it.
      instead: The corrected line of code.
      place: Where it does work.
    """

    def __init__(
        self,
        function: str,
        instead: str,
        *,
        place: str = "inside a job, on a worker of a pool",
    ) -> None:
        super().__init__(f"{function} works only {place}; write instead: {instead}")
        self.function = function
        self.instead = instead


class WrongThreadError(ParallelError, RuntimeError):
    """A pool, or what came from it, was used outside the Trio run that it belongs to.

    The pool notices nothing of it.

    Args:
      pool_name: Name of the pool.
      instead: The corrected line of code, for the calling thread.
    """

    def __init__(self, pool_name: str, instead: str) -> None:
        super().__init__(
            f"pool {pool_name!r} belongs to the Trio run of another thread; in this "
            f"one write instead: {instead}"
        )
        self.pool_name = pool_name
        self.instead = instead


class InternalError(Exception):
    """A bug of ours. The pool it happened in is closed and cannot be trusted.

    Never raised for something your function did. Please report it with the
    traceback of its ``__cause__``.
    """


class JobCancelled(BaseException):
    """Control flow inside a job: `check_cancelled` raises it.

    Outside `Exception`, so that ``except Exception`` in a job does not stop a
    cancellation. Let it pass; the waiter gets `trio.Cancelled` or
    `TaskCancelled`, never this.
    """


class JobInterrupted(BaseException):
    """Control flow inside a job: raised between two of its instructions.

    By a cancellation with ``on_cancel="interrupt"``, once in each job. Outside
    `Exception`, as `JobCancelled`. Let it pass; the waiter gets `trio.Cancelled` or
    `TaskCancelled`, never this.
    """


for _name in __all__:  # raised errors print as users know them, imported or not
    globals()[_name].__module__ = __package__
