"""The work behind a `runtime.Job`: a job that any number of tasks may wait for.

It belongs to its pool, not to whoever holds the handle: cancelling a task that
waits for it ends the wait only, and the pool's block waits for the job.

Layer: frontend.
"""

from collections.abc import Callable
from types import CodeType, TracebackType
from typing import TYPE_CHECKING

import outcome
import trio

from .._core import WITHDRAWN, Job, job_context
from .._errors import CancelReason, JobCancelled, TaskCancelled
from .._util import traceback_of
from .options import OnCancelMany, callable_name
from .token import WorkToken, is_end
from .waits import check_wait, waiting_for
from .work import Verdict, are_over, verdict_of

if TYPE_CHECKING:
    from .intake import Intake

__all__ = ("Submission",)


class Submission(Job):
    """A job with the event that its waiters wait for.

    Thread safety: what `Job` says; all else belongs to the Trio thread.
    """

    __slots__ = (
        "_done",
        "_early",
        "_holds_place",
        "_intake",
        "_is_over",
        "_traceback",
        "code",
        "name",
    )

    # Immutable, so a narrower type is sound.
    token: WorkToken  # pyright: ignore[reportIncompatibleVariableOverride]

    def __init__(
        self,
        intake: "Intake",
        fn: Callable[..., object],
        args: tuple[object, ...],
        *,
        on_cancel: OnCancelMany,
        lane: int,
        name: str | None,
        holds_place: bool,
    ) -> None:
        super().__init__(
            fn,
            args,
            job_context(),
            token=WorkToken(intake, may_interrupt=on_cancel == "interrupt"),
            sink=Submission._left,
            lane=lane,
        )
        self._intake = intake  # immutable
        self.name: str = callable_name(fn) if name is None else name  # immutable
        self.code: CodeType | None = getattr(fn, "__code__", None)  # immutable
        self._holds_place = holds_place  # immutable
        self._done: trio.Event | None = None  # owner: the Trio thread
        # The pool's answer, if the job was left behind: its own will be dropped.
        self._early: BaseException | None = None  # owner: the Trio thread
        # Of the job's error, before any waiter's frames were added to it.
        self._traceback: TracebackType | None = None  # owner: the Trio thread
        # Set when the end was delivered; the outcome alone is there a little earlier.
        self._is_over = False  # owner: the Trio thread

    @property
    def phase_now(self) -> int:
        """Where the job is, be it in another interpreter."""
        return self._intake.backend.phase_of(self)

    async def wait_over(self) -> None:
        """Wait until the end was delivered; a checkpoint on every call."""
        self._check_owner("run(job.wait)")
        if self._is_over:
            await trio.lowlevel.checkpoint()
            return
        check_wait(self.token)
        if self._done is None:
            self._done = trio.Event()
        with waiting_for(self.token):
            await self._done.wait()

    def _check_owner(self, instead: str) -> None:
        """Raise as `Owner.check` does; an outcome may be had after the run, too."""
        owner = self._intake.owner
        has_outcome = self._is_over and self._early is None
        if not (has_outcome and owner.is_gone):
            owner.check(instead)

    def cancel(self) -> None:
        """End the job for who holds its handle."""
        self._check_owner("run_sync(job.cancel)")
        if not self._is_over:
            self.stop(CancelReason.JOB_CANCEL)
            self.interrupt()

    def retrieve(self) -> outcome.Maybe[object]:
        """Return a new outcome for one more waiter, after the end."""
        self._intake.note_retrieved(self)
        if self._early is not None:
            return outcome.Error(self._early)
        result = self.outcome
        assert result is not None
        if type(result) is outcome.Value:
            return outcome.Value(result.value)
        assert isinstance(result, outcome.Error)
        if is_end(result.error):
            reason = self.token.reason or CancelReason.ITSELF
            return outcome.Error(TaskCancelled(self.name, reason))
        error = BaseException.with_traceback(result.error, self._traceback)
        return outcome.Error(error)

    def deliver(self) -> None:
        """Let the waiting tasks go on; in the Trio thread."""
        self._intake.settle(self, holds_place=self._holds_place)
        if self._early is not None:
            self.outcome = None
        elif type(self.outcome) is outcome.Error and not is_end(self.outcome.error):
            self._traceback = traceback_of(self.outcome.error)
            self._intake.note_unretrieved(self, self.outcome.error)
        self._finish()

    def verdict(self) -> Verdict:
        """Tell how the job ended."""
        return verdict_of(self)

    def stop(self, reason: CancelReason) -> None:
        """End the job on somebody else's behalf: withdraw it or set its token."""
        if self._intake.backend.withdraw(self):
            self.token.request_stop(reason)
            self.outcome: outcome.Maybe[object] | None = outcome.Error(JobCancelled())
            self._finish()
        elif self.phase != WITHDRAWN:
            self.token.request_stop(reason)

    def interrupt(self) -> None:
        """Have the job interrupted, if its caller allowed that."""
        if self.phase != WITHDRAWN:
            self.token.request_interrupt(are_over([self]))

    def fail(self, error: BaseException) -> None:
        """End the wait with an error of the runtime's own."""
        self._early = error
        self._finish()

    @trio.lowlevel.enable_ki_protection  # in an inline pool
    def _left(self) -> None:
        """Report the end; runs on the worker's thread, or on the canceller's."""
        self._intake.port.post(self)

    def _finish(self) -> None:
        self._is_over = True
        if self._done is not None:
            self._done.set()
