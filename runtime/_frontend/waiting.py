"""One Trio task that waits for one piece of work.

The task parks; it is resumed with the answer, or to run something for the job
(`from_worker.run`), or by a cancellation that may end the wait.

Layer: frontend.
"""

from typing import TYPE_CHECKING

import outcome
import trio

if TYPE_CHECKING:
    from .from_worker import Request
    from .intake import Intake
    from .token import WorkToken

__all__ = ("Waiting",)


class Waiting:
    """Mixin: parking and resuming the task of a `Call` or a `BatchCall`.

    Thread safety: externally synchronized, by the Trio thread.
    """

    if not TYPE_CHECKING:
        __slots__ = ()  # the classes that mix it in have slots for what follows

    token: "WorkToken"
    _intake: "Intake"
    _is_held: bool
    _task: trio.lowlevel.Task | None
    _raise_cancel: trio.lowlevel.RaiseCancelT | None
    _request: "Request | None"
    _early: outcome.Maybe[object] | None

    def _init_waiting(self) -> None:
        # The parked task; None before, after, and while it runs a request.
        self._task = None  # owner: the Trio thread
        # Set when a cancellation came but the work has to be waited for.
        self._raise_cancel = None  # owner: the Trio thread
        # Whether that holds the parked task.
        self._is_held = False  # owner: the Trio thread
        # What the task runs, or is to run, before it waits on for the answer.
        self._request = None  # owner: the Trio thread
        # An answer that came while the task was not parked.
        self._early = None  # owner: the Trio thread

    async def park(self) -> object:
        """Wait for the answer, running what the job asks for meanwhile."""
        while True:
            if self._request is not None:
                await self._request.run_in_this_task()
                self._request = None
                continue
            if self._early is not None:
                return self._early.unwrap()
            self._task = trio.lowlevel.current_task()
            if self.token.host is None:
                self.token.waiters = (self._task,)
            try:
                answer = await trio.lowlevel.wait_task_rescheduled(  # CALL-3 park
                    self._abort
                )
            finally:
                if self._is_held:
                    self._is_held = False
                    self._intake.patience.end()
            if not self._has_more_to_do():
                return answer

    def _has_more_to_do(self) -> bool:
        """Return whether the task was resumed for something else than its answer."""
        return self._request is not None or self._early is not None

    def _is_in_request(self) -> bool:
        """Return whether the task runs a request, or is about to."""
        return self._request is not None or self.token.host_scope is not None

    def _abort(self, raise_cancel: trio.lowlevel.RaiseCancelT) -> trio.lowlevel.Abort:
        """React to the cancellation of the parked task."""
        if self._cancelled():
            self._task = None
            self.token.waiters = ()
            return trio.lowlevel.Abort.SUCCEEDED
        self._raise_cancel = raise_cancel
        self._is_held = True
        self._intake.patience.begin()
        return trio.lowlevel.Abort.FAILED

    def _cancelled(self) -> bool:
        """Ask the work to end; return whether the task may leave at once."""
        raise NotImplementedError

    def is_free(self) -> bool:
        """Return whether the task runs no request; two halves of a job may ask."""
        return self._request is None

    def resume_for(self, request: "Request") -> None:
        """Have the waiting task run a request, now or when it comes to park."""
        self._request = request
        self._resume(outcome.Value(None))

    def _resume(self, answer: outcome.Maybe[object]) -> bool:
        """Let the task go on with an answer, if it is parked; return whether it was."""
        task, self._task = self._task, None
        if task is None:
            return False
        trio.lowlevel.reschedule(task, answer)
        return True

    def _end(self, error: BaseException) -> None:
        """End the wait with an error, now or when the task comes to park.

        The first error counts.
        """
        if not self._resume(outcome.Error(error)) and self._early is None:
            self._early = outcome.Error(error)
