"""`runtime.Job`: the handle that `submit` returns.

The job belongs to its pool, not to whoever holds the handle: cancelling a task
that waits for it ends the wait only, and the pool's block waits for the job.

Layer: frontend. Imports: `runtime._core`, `token`, trio.
"""

from collections.abc import Callable
from contextvars import copy_context
from types import CodeType
from typing import TYPE_CHECKING, cast

import outcome
import trio

from .. import _core
from .._core import WITHDRAWN
from .._errors import JobCancelled, TaskCancelled
from .options import JobState, callable_name
from .token import WorkToken
from .work import Verdict, verdict_of

if TYPE_CHECKING:
    from .intake import Intake

__all__ = ("Job",)


class Job[R](_core.Job):
    """A job that was accepted by a pool.

    Made by `WorkerPool.submit` and `WorkerPool.submit_nowait`. If it fails and nobody
    waits for it, its error leaves the pool's block in an `ExceptionGroup`.

    Attributes:
      name: What was given as ``name``, or the function's qualified name.

    Thread safety: externally synchronized, by the Trio thread; `state` from any
    thread.
    """

    __slots__ = (
        "_done",
        "_early",
        "_holds_place",
        "_intake",
        "_is_over",
        "code",
        "name",
    )

    # Immutable, so a narrower type is sound.
    token: WorkToken  # pyright: ignore[reportIncompatibleVariableOverride]

    def __init__(
        self,
        intake: "Intake",
        fn: Callable[..., R],
        args: tuple[object, ...],
        *,
        lane: int,
        name: str | None,
        holds_place: bool,
    ) -> None:
        super().__init__(
            fn, args, copy_context(), token=WorkToken(intake), sink=Job._left, lane=lane
        )
        self._intake = intake  # immutable
        self.name: str = callable_name(fn) if name is None else name  # immutable
        self.code: CodeType | None = getattr(fn, "__code__", None)  # immutable
        self._holds_place = holds_place  # immutable
        self._done: trio.Event | None = None  # owner: the Trio thread
        # The pool's answer, if the job was left behind: its own will be dropped.
        self._early: BaseException | None = None  # owner: the Trio thread
        # Set when the end was delivered; the outcome alone is there a little earlier.
        self._is_over = False  # owner: the Trio thread

    def __repr__(self) -> str:
        return f"<runtime.Job {self.name!r} {self.state.name.lower()}>"

    @property
    def state(self) -> JobState:
        """Where the job is; it may have moved on by the time you look."""
        return JobState(self._intake.phase_of(self))

    async def wait(self) -> R:
        """Wait for the job and return what its function returned.

        Any number of tasks may wait, during the job or after it. Each gets the
        same result, or the same error.

        Raises:
          TaskCancelled: the job was ended by `cancel` or by the pool. If it was
            the waiting task that was cancelled, it gets `trio.Cancelled`, and the
            job goes on.
        """
        if not self._is_over:
            if self._done is None:
                self._done = trio.Event()
            await self._done.wait()
        else:
            await trio.lowlevel.checkpoint()
        self._intake.note_retrieved(self)
        return self._answer()

    def cancel(self) -> None:
        """Ask for the job's end.

        A queued job is withdrawn: its function is never called. A running one has
        its token set, which it sees in `runtime.check_cancelled`. A job that is over
        stays as it is. Returns at once; `wait` tells what became of it.
        """
        self.stop("Job.cancel()")

    def deliver(self) -> None:
        """Let the waiting tasks go on; in the Trio thread."""
        self._intake.settle(self, holds_place=self._holds_place)
        if self._early is not None:
            self.outcome = None
        elif isinstance(self.outcome, outcome.Error) and not isinstance(
            self.outcome.error, JobCancelled
        ):
            self._intake.note_unretrieved(self, self.outcome.error)
        self._finish()

    def verdict(self) -> Verdict:
        """Tell how the job ended."""
        return verdict_of(self)

    def stop(self, cause: str) -> None:
        """End the job on somebody else's behalf: withdraw it or set its token."""
        if self._intake.registry.withdraw(self):
            self.token.request_stop(cause)
            self.outcome: outcome.Maybe[object] | None = outcome.Error(JobCancelled())
            self._finish()
        elif self.phase != WITHDRAWN:
            self.token.request_stop(cause)

    def fail(self, error: BaseException) -> None:
        """End the wait with an error of the runtime's own."""
        self._early = error
        self._finish()

    def _left(self) -> None:
        """Report the end; runs on the worker's thread, or on the canceller's."""
        self._intake.port.post(self)

    def _finish(self) -> None:
        self._is_over = True
        if self._done is not None:
            self._done.set()

    def _answer(self) -> R:
        if self._early is not None:
            raise self._early
        result = self.outcome
        assert result is not None
        if isinstance(result, outcome.Value):
            return cast("R", result.value)
        if isinstance(result.error, JobCancelled):
            raise TaskCancelled(self.name, self.token.cause or "itself") from None
        raise result.error
