"""`runtime.Job`: the handle that `submit` returns.

Layer: frontend.
"""

from typing import NoReturn, cast

import trio

from .from_worker import ask
from .options import JobState
from .submission import Submission

__all__ = ("Job",)


class Job[R]:
    """A job that was accepted by a pool.

    Made by `WorkerPool.submit` and `WorkerPool.submit_nowait`. If it fails and nobody
    waits for it, its error leaves the pool's block in an `ExceptionGroup`.

    Thread safety: its methods belong to its pool's Trio run, as those of the pool do;
    `state` may be read in any thread, `result` called in any job.
    """

    __slots__ = ("__weakref__", "_submission")

    def __init__(self, submission: Submission) -> None:
        self._submission = submission  # immutable

    def __repr__(self) -> str:
        return f"<runtime.Job {self.name!r} {self.state.name.lower()}>"

    def __await__(self) -> NoReturn:
        raise TypeError(
            "a job is waited for by a method; write instead: await job.wait()"
        )

    @property
    def name(self) -> str:
        """What was given as ``name``, or the function's qualified name."""
        return self._submission.name

    @property
    def state(self) -> JobState:
        """Where the job is; it may have moved on by the time you look."""
        return JobState(self._submission.phase_now)

    @trio.lowlevel.enable_ki_protection
    async def wait(self) -> R:
        """Wait for the job and return what its function returned.

        Any number of tasks may wait, during the job or after it. Each gets the
        same result, or the same error.

        Raises:
          DeadlockError: the wait is part of a job's request to Trio, and this job
            waits for that one.
          TaskCancelled: the job was ended by `cancel` or by the pool. If it was
            the waiting task that was cancelled, it gets `trio.Cancelled`, and the
            job goes on.
        """
        await self._submission.wait_over()
        try:
            return cast("R", self._submission.retrieve().unwrap())
        finally:
            # An error's traceback keeps this frame, and the submission the error.
            del self

    def result(self) -> R:
        """Wait for the job inside another job; elsewhere use `wait`.

        The other job waits as in `runtime.from_worker.run`: a spare thread works in its
        place, and it is woken if it is asked to stop. Returns or raises what `wait`
        does.

        Raises:
          NotOnWorkerError: called outside a job.
          DeadlockError: this job waits for the one that calls, or no spare thread is
            left.
        """
        try:
            return ask("job.result()", self.wait, instead="await job.wait()")
        finally:
            del self  # as in `wait`

    @trio.lowlevel.enable_ki_protection
    def cancel(self) -> None:
        """Ask for the job's end.

        A queued job is withdrawn: its function is never called. A running one has
        its token set, which it sees in `runtime.check_cancelled`, and is interrupted
        if it was submitted with ``on_cancel="interrupt"``. A job that is over
        stays as it is. Returns at once; `wait` tells what became of it.
        """
        self._submission.cancel()
