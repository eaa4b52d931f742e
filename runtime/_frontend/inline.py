"""A pool without threads: its jobs run in the Trio thread, one at a time.

For tests of code that uses a pool: nothing runs at the same time as anything else,
jobs run in the order of their lanes, one per step of the Trio loop, and Trio's
mock clock does not jump ahead of a job. The scheduler's parts are the real ones;
only the worker's thread is replaced by a task, the *pump*.

Layer: frontend.
"""

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import override

import trio

from .._backends.threads import ThreadBackend
from .._core import Job, Worker, core
from .._util import called
from .call import Call
from .opening import run_pool
from .options import check_count
from .pool import WorkerPool
from .protected import call_unprotected, protected, start_task
from .submission import Submission

__all__ = ("inline_pool",)


@protected("async with runtime.testing.inline_pool() as pool: ...")
@asynccontextmanager
async def inline_pool(
    *, queue_capacity: int = 1000, name: str = "inline"
) -> AsyncIterator[WorkerPool]:
    """Open a pool whose jobs run in the Trio thread, deterministically.

    It behaves as `runtime.open_worker_pool` with one worker, but for this: a running
    job holds up the whole Trio loop, so nothing can cancel it meanwhile, and
    `runtime.from_worker` raises `runtime.DeadlockError` inside it.
    """
    check_count(queue_capacity, 1, "queue_capacity")
    async with run_pool(
        _InlineBackend, name=name, queue_capacity=queue_capacity
    ) as pool:
        yield pool


class _InlineBackend(ThreadBackend):
    """One worker, driven by a Trio task."""

    __slots__ = ("_interrupt", "_nursery", "_posted")

    kind = "inline"
    has_threads = False

    def __init__(self, nursery: trio.Nursery) -> None:
        super().__init__(1, name="inline")
        self._nursery = nursery  # immutable
        self._posted = trio.Event()  # owner: the Trio thread
        # A Ctrl-C that has met no job.
        self._interrupt: KeyboardInterrupt | None = None  # owner: the Trio thread

    @override
    def start(self) -> None:
        start_task(self._nursery, self._pump)

    @override
    def inject(self, job: Job) -> None:
        if core == "python" and isinstance(job, Call | Submission):
            assert job.fn is not None
            job.fn = partial(call_unprotected, called, job.fn)
        super().inject(job)
        self._posted.set()

    @override
    def inject_many(self, jobs: Sequence[Job]) -> None:
        super().inject_many(jobs)
        self._posted.set()

    @override
    def stop(self) -> None:
        super().stop()
        self._posted.set()

    @override
    def join(self, *, but_not: Collection[int] = ()) -> None:
        """Do nothing: the pump's nursery waits for it."""

    @override
    def is_anyone_idle(self) -> bool:
        """Say no: to poll would only be to wait for oneself."""
        return False

    async def _pump(self) -> None:
        (worker,) = self._workers
        # Shielded: entries must leave the scheduler when the pool is cancelled, too.
        with trio.CancelScope(shield=True):
            while not self.is_stopping:
                if self._run_one(worker):
                    await trio.lowlevel.checkpoint()
                else:
                    self._posted = trio.Event()
                    await self._posted.wait()
        if self._interrupt is not None:
            raise self._interrupt

    def _run_one(self, worker: Worker) -> bool:
        """Run a job if there is one; Ctrl-C may end it, but nothing around it."""
        if core == "python":  # whose own lines must not be interrupted; see `inject`
            return worker.run_one()
        try:
            return call_unprotected(worker.run_one)
        except KeyboardInterrupt as error:
            # The job has not begun, or its end was told. What is left has to leave.
            self._interrupt = error
            self._nursery.cancel_scope.cancel()
            return True
