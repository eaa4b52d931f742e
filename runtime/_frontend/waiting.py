"""One Trio task that waits for one piece of work.

The task parks; it is resumed by a delivery, by a request to run something for
the job (`from_worker.run`), or by a cancellation that may end the wait.

Layer: frontend. Imports: trio; `from_worker` for types.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import outcome
import trio

if TYPE_CHECKING:
    from .from_worker import Request

__all__ = ("Waiting",)


class Waiting:
    """Mixin: parking and resuming the task of a `Call` or a `BatchCall`.

    Thread safety: externally synchronized, by the Trio thread.
    """

    __slots__ = ()

    _task: trio.lowlevel.Task | None
    _raise_cancel: trio.lowlevel.RaiseCancelT | None

    def _init_waiting(self) -> None:
        # The parked task; None before, after, and while it runs a request.
        self._task = None  # owner: the Trio thread
        # Set when a cancellation came but the work has to be waited for.
        self._raise_cancel = None  # owner: the Trio thread

    async def _park(self, cancelled: Callable[[], bool]) -> None:
        """Wait for `_resume`, running what the job asks for meanwhile.

        Args:
          cancelled: Called when the task's cancel scope is cancelled; returns
            whether the wait may end at once.
        """

        def abort(raise_cancel: trio.lowlevel.RaiseCancelT) -> trio.lowlevel.Abort:
            if cancelled():
                self._task = None
                return trio.lowlevel.Abort.SUCCEEDED
            self._raise_cancel = raise_cancel
            return trio.lowlevel.Abort.FAILED

        task = trio.lowlevel.current_task()
        while True:
            self._task = task
            request: Request | None = await trio.lowlevel.wait_task_rescheduled(abort)
            if request is None:
                return
            await request.run_in_this_task()

    def _resume(self, request: "Request | None" = None) -> bool:
        """Let the task go on, if it is parked; return whether it was."""
        task, self._task = self._task, None
        if task is None:
            return False
        trio.lowlevel.reschedule(task, outcome.Value(request))
        return True
