"""`ParallelProcessor.execute`: one request and the task that waits for its answer.

Layer: processor.
"""

import outcome
import trio

from .._errors import CancelReason, TaskCancelled
from .engine import Engine
from .request import Request

__all__ = ("Caller",)


class Caller:
    """The task that waits for one request.

    Thread safety: externally synchronized, by the Trio thread.
    """

    __slots__ = ("_engine", "_raise_cancel", "_task")

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._task: trio.lowlevel.Task | None = None
        # Set when a cancellation came but the request has to be waited for.
        self._raise_cancel: trio.lowlevel.RaiseCancelT | None = None

    async def wait(self, request: Request) -> object:
        """Wait for the answer, and return or raise it."""
        if request.answer is None:

            def abort(raise_cancel: trio.lowlevel.RaiseCancelT) -> trio.lowlevel.Abort:
                return self._abort(request, raise_cancel)

            self._task = trio.lowlevel.current_task()
            try:
                await trio.lowlevel.wait_task_rescheduled(abort)
            finally:
                if self._raise_cancel is not None:
                    self._engine.patience.end()
        answer, request.answer = request.answer, None
        assert answer is not None
        if _is_cancelled(answer):
            if self._raise_cancel is not None:
                self._raise_cancel()
            # Maybe by what ended the request: a hook that failed.
            await trio.lowlevel.checkpoint_if_cancelled()
        return answer.unwrap()

    def receive(self, _request: Request, /) -> None:
        """Let the task go on."""
        task, self._task = self._task, None
        if task is not None:
            trio.lowlevel.reschedule(task)

    def _abort(
        self, request: Request, raise_cancel: trio.lowlevel.RaiseCancelT
    ) -> trio.lowlevel.Abort:
        task, self._task = self._task, None  # else it would be rescheduled, too
        if self._engine.withdraw(request, CancelReason.CALLER):
            return trio.lowlevel.Abort.SUCCEEDED
        self._task = task
        self._raise_cancel = raise_cancel
        self._engine.patience.begin()
        return trio.lowlevel.Abort.FAILED


def _is_cancelled(answer: outcome.Maybe[object]) -> bool:
    return isinstance(answer, outcome.Error) and isinstance(answer.error, TaskCancelled)
