"""One `spawn_cpu_work`: a job and the task that waits for it.

The life of a call, and what ends the wait:

* **CALL-1** accept: check for cancellation, take a place at the bound, inject.
* **CALL-2** poll: if it is likely to pay (see `Poller`), let a few ticks of the Trio
  loop pass. Whoever takes `_handoff` first decides: the worker, then the task finds
  its result by itself; or the task, then the worker must post.
* **CALL-3** park (`Waiting.park`) until the port delivers, or a cancellation does:
  queued → withdrawn, the task leaves with `trio.Cancelled`;
  running → its token is set, and the task goes on waiting, or with
  ``on_cancel="abandon"`` leaves; with ``"interrupt"`` it is interrupted, too.
* **CALL-4** answer: the outcome is unwrapped in the task.

Layer: frontend.
"""

import logging
from collections.abc import Callable
from types import CodeType
from typing import TYPE_CHECKING, override

import outcome
import trio

from .._core import Job, job_context, sync
from .._errors import CancelReason, TaskCancelled
from .loan import Loan
from .options import OnCancel, callable_name
from .token import WorkToken, is_end
from .waiting import Waiting
from .work import Verdict, are_over, verdict_of

if TYPE_CHECKING:
    from .intake import Intake

__all__ = ("Call", "Poller")

_logger = logging.getLogger("runtime")

# At most this many ticks of the Trio loop (DESIGN 4.8).
MAX_POLLS = 4
# After polls that did not pay, at most this many calls do not poll: one after the first
# of them, then twice as many each time. Arbitrary.
POLL_BACKOFF = 16


class Poller:
    """Decides whether the next call should poll before it parks.

    It pays while jobs are so short that their result is there before a wake-up
    could be: one idle worker, one poller at a time, and the last poll paid.

    Thread safety: externally synchronized, by the Trio thread.
    """

    __slots__ = ("_backoff", "_is_polling", "_skip")

    def __init__(self) -> None:
        self._is_polling = False  # owner: the Trio thread
        self._skip = 0  # owner: the Trio thread
        self._backoff = 1  # owner: the Trio thread

    def begin(self, *, is_worker_idle: bool) -> bool:
        """Return whether to poll now; if so, `end` must follow."""
        if self._is_polling or not is_worker_idle:
            return False
        if self._skip > 0:
            self._skip -= 1
            return False
        self._is_polling = True
        return True

    def end(self, *, paid: bool) -> None:
        """Learn from a poll."""
        self._is_polling = False
        self._skip = 0 if paid else self._backoff
        self._backoff = 1 if paid else min(2 * self._backoff, POLL_BACKOFF)


class Call(Waiting, Job):
    """A job with the Trio task that waits for its outcome.

    Thread safety: what `Job` says; all else belongs to the Trio thread.
    """

    __slots__ = (
        "_early",
        "_handoff",
        "_loan",
        "_on_cancel",
        "_intake",
        "_is_held",
        "_raise_cancel",
        "_request",
        "_task",
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
        on_cancel: OnCancel,
        lane: int,
        loan: Loan | None,
        name: str | None,
    ) -> None:
        token = WorkToken(intake, may_interrupt=on_cancel == "interrupt")
        super().__init__(
            fn, args, job_context(), token=token, sink=Call._left, lane=lane
        )
        self._init_waiting()
        self._intake = intake  # immutable
        self._on_cancel = on_cancel  # immutable
        self._loan = loan  # immutable
        self.name: str = callable_name(fn) if name is None else name  # immutable
        self.code: CodeType | None = getattr(fn, "__code__", None)  # immutable
        # Locked means "decided", see CALL-2; None where nobody polls.
        self._handoff: sync.LockType | None = None  # atomic: acquire
        if on_cancel != "abandon":
            token.host = self

    def inject(self, poller: Poller) -> bool:
        """Hand the job to the workers; return whether `poll` must follow."""
        backend = self._intake.backend
        polls = poller.begin(is_worker_idle=backend.is_anyone_idle())
        if polls:
            self._handoff = sync.Lock()
            self._intake.pump.hush(True)
        backend.inject(self)  # CALL-1 accept
        return polls

    async def poll(self, poller: Poller) -> bool:
        """Return whether the job ended within a few ticks; if not, park."""
        handoff = self._handoff
        assert handoff is not None
        try:
            for _ in range(MAX_POLLS):
                await trio.lowlevel.cancel_shielded_checkpoint()
                self._intake.pump.look()
                if handoff.locked():
                    break
        finally:
            self._intake.pump.hush(False)
        # ATOMIC(lock-acquire): CALL-2 the worker and the task both try; the task
        # that loses has its outcome, the worker that loses posts.
        paid = not handoff.acquire(False)
        poller.end(paid=paid)
        return paid

    def finish(self) -> object:
        """Return or raise the outcome that `poll` has found."""
        self._close(is_waited_for=self._early is None)
        if self._early is not None:  # ended by the pool while the task polled
            return self._early.unwrap()
        answer = self._take_answer()  # CALL-4 answer
        return answer.value if type(answer) is outcome.Value else answer.unwrap()

    @trio.lowlevel.enable_ki_protection  # in an inline pool
    def _left(self) -> None:
        """Report the end; runs on the worker's thread, or on the canceller's."""
        if self._handoff is None or not self._handoff.acquire(False):
            self._intake.port.post(self)  # CALL-2 handoff lost, or nobody polls

    def deliver(self) -> None:
        """Let the task go on; in the Trio thread."""
        is_in_request = self._is_in_request()
        is_waited_for = self._task is not None or (is_in_request and not self._early)
        self._close(is_waited_for=is_waited_for)
        if self._task is not None:
            self._resume(self._take_answer())  # CALL-4 answer
        elif is_in_request:  # of a job that its worker has not survived
            self._request = None
            self._early = self._early or self._take_answer()

    def verdict(self) -> Verdict:
        """Tell how the call ended."""
        return verdict_of(self)

    def stop(self, reason: CancelReason) -> None:
        """End the call on somebody else's behalf: withdraw it or set its token."""
        withdrawn = self._intake.backend.withdraw(self)
        self.token.request_stop(reason)
        if withdrawn:
            self.fail(TaskCancelled(self.name, reason))

    def interrupt(self) -> None:
        """Have the job interrupted, if its caller allowed that."""
        self.token.request_interrupt(are_over([self]))

    def fail(self, error: BaseException) -> None:
        """End the wait with an error of the runtime's own."""
        self.token.host = None  # the task leaves; it runs nothing more for the job
        self._end(error)

    @override
    def _cancelled(self) -> bool:
        """Answer the cancellation of the waiting task: may it leave now?"""
        if self._intake.backend.withdraw(self):
            self.token.host = None
            return True
        if self._on_cancel == "abandon":
            self.token.abandon(None)
            self._intake.note_abandoned(self)
            return True
        self.token.request_stop(None)
        self.interrupt()
        return False

    def _close(self, *, is_waited_for: bool) -> None:
        """Settle the accounts: the entry has left the scheduler."""
        self.token.host = None  # breaks the cycle, so the call dies at once
        if self._loan is not None:
            failure = self._loan.give_back_after(self.outcome)
            if failure is not None:
                self.outcome: outcome.Maybe[object] | None = failure
                if not is_waited_for:  # cancelled, abandoned or left behind
                    self._log_limiter(failure.error)
        self._intake.settle(self)

    def _log_limiter(self, error: BaseException) -> None:
        _logger.error(
            "the limiter of job %s failed to take its token back, and nobody waits "
            "for the job any more",
            self.name,
            exc_info=error,
        )

    def _take_answer(self) -> outcome.Maybe[object]:
        """Return what the task gets, and keep none of it."""
        answer, self.outcome = self.outcome, None
        raise_cancel, self._raise_cancel = self._raise_cancel, None
        assert answer is not None
        if type(answer) is outcome.Error and is_end(answer.error):
            if raise_cancel is not None:
                return outcome.capture(raise_cancel)
            return outcome.Error(
                TaskCancelled(self.name, self.token.reason or CancelReason.ITSELF)
            )
        return answer
