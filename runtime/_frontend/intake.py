"""What a pool has accepted, until it is settled; and the pool's end.

Work takes a place, comes in through `inject` or `track`, and is settled when its
entry has left the scheduler. Leaving the pool's block:

* **STOP-1** stop intake: whoever comes now gets `PoolClosedError`. What was accepted
  may still use the pool: tasks of the async lane, and what jobs ask for through
  `runtime.from_worker`.
* **STOP-2** drain: wait for the lane's tasks and for the work.
* **STOP-3** cancel, where the block is left by an error or a cancellation, or a
  grace period is over: withdraw what is queued, set the token of what runs, interrupt
  what allows it, and wait on.
* **STOP-4** stop the workers and wait for their threads (`ending`).

Layer: frontend.
"""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, suppress
from functools import partial
from threading import get_ident
from types import NoneType
from typing import TYPE_CHECKING, cast

import trio

from .._backends.base import Backend, Events, Question
from .._core import Job
from .._errors import (
    BrokenWorkerError,
    CancelReason,
    InternalError,
    JobCancelled,
    PoolClosedError,
)
from . import forking
from .bound import Bound
from .ending import Ending
from .lane import AsyncLane
from .owner import Owner
from .patience import LOG_AFTER, Patience, wait_to_the_end
from .port import CompletionPort
from .protected import start_task
from .pump import Pump
from .token import WorkToken, token_within
from .waits import is_asked_by
from .work import Verdict, Work

if TYPE_CHECKING:
    from .from_worker import Request

__all__ = ("Intake",)

# What a foreign thread is told to call; see `Owner.check`.
CALL = "run(pool.spawn_cpu_work, fn, *args)"


class Intake:
    """The bookkeeping of one pool.

    Thread safety: externally synchronized, by the Trio thread. Workers reach only
    `port`, `is_inside_job` and `adopt`, anybody `check_open` and `owner`.
    """

    __slots__ = (
        "_end_reason",
        "_failure",
        "_has_left",
        "_is_cancelled",
        "_nursery",
        "_progress",
        "_unretrieved",
        "abandoned",
        "backend",
        "ending",
        "is_closing",
        "is_watched",
        "lane",
        "name",
        "owner",
        "patience",
        "places",
        "port",
        "pump",
        "reports",
        "verdicts",
        "work",
    )

    def __init__(
        self,
        nursery: trio.Nursery,
        backend: Backend,
        *,
        name: str,
        queue_capacity: int,
    ) -> None:
        self.name: str = name  # immutable
        self.owner: Owner = Owner(name, self._end_with_run)  # immutable
        self.port: CompletionPort = CompletionPort(self.break_down)  # immutable
        self.backend: Backend = backend  # immutable
        self.reports: Events = _Reports(self)  # immutable
        backend.bind(self.reports)
        self.pump: Pump = Pump(  # immutable
            backend.news(), self.port, self.reports.failed
        )
        self.ending: Ending = Ending(backend, self.pump, name)  # immutable
        self._nursery: trio.Nursery = nursery  # immutable
        worker_count = backend.worker_count
        self.lane: AsyncLane = AsyncLane(  # immutable
            nursery,
            limit=worker_count,
            capacity=queue_capacity,
            intake=self,
            on_end=self.note_progress,
        )
        self.patience: Patience = Patience(self, nursery)  # immutable
        # A place for each queued job and one for each that runs.
        self.places: Bound = Bound(
            queue_capacity + worker_count,
            self.check_open,
            may_overdraw=partial(is_asked_by, self),
        )  # immutable
        # All that follows belongs to the Trio thread.
        # Accepted and not settled; used as an ordered set.
        self.work: dict[Work, None] = {}  # owner
        # With no waiter left; still here while it runs on, left behind.
        self.abandoned: set[Work] = set()  # owner
        # How settled work ended; a plain dict, which counts faster than a Counter.
        self.verdicts: dict[Verdict, int] = dict.fromkeys(Verdict, 0)  # owner
        self._unretrieved: dict[Work, BaseException] = {}  # owner: jobs' errors
        self.is_closing: bool = False  # owner
        # Whether stuck jobs are reported.
        self.is_watched: bool = False  # owner: set before there is work
        # Closing, and not gracefully. Written in the Trio thread, read by workers.
        self._is_cancelled = False  # atomic: a single store; never cleared
        self._end_reason = CancelReason.CLOSED  # owner: why it was cancelled
        self._has_left = False  # owner: the block is over
        self._failure: Exception | None = None  # owner
        self._progress = trio.lowlevel.ParkingLot()  # owner: who drains

    # The way in

    def check_open(self, instead: str = CALL) -> None:
        """Raise unless the calling task may bring work; see `Owner.check`."""
        if self.is_closing or get_ident() != self.owner.thread:
            self._check_closely(instead)

    def _check_closely(self, instead: str) -> None:
        if self._failure is not None:
            raise self._failure
        if self._has_left:
            raise PoolClosedError(self.name)
        self.owner.check(instead)
        if self.is_closing and (self._is_cancelled or token_within(self) is None):
            raise PoolClosedError(self.name)

    def track(self, work: Work) -> None:
        """Count a piece of work as accepted."""
        self.work[work] = None

    def inject(self, work: Work, job: Job) -> None:
        """Count a piece of work as accepted and hand its job to the workers."""
        self.work[work] = None
        self.backend.inject(job)

    def is_inside_job(self) -> bool:
        """Return whether this is called inside one of this pool's jobs."""
        return self.backend.worker_here() is not None

    def adopt(self, work: Work, job: Job) -> None:
        """Accept a job from inside a job: to the worker's own deque, at no place.

        Raises:
          JobCancelled: the pool is being cancelled; else jobs that submit their
            successors would keep it open for ever.
        """
        # RACE: the pool may be cancelled just after; then `track_adopted` stops it.
        if self._is_cancelled:
            raise JobCancelled
        worker = self.backend.worker_here()
        assert worker is not None
        # ORDER: the pool learns of the job before the job can end, because the
        # port delivers in the order of posts.
        self.port.post(_Adoption(self, work))
        worker.push(job)

    def track_adopted(self, work: Work) -> None:
        """Count work that `adopt` accepted; in the Trio thread."""
        self.work[work] = None
        if self._is_cancelled:
            work.stop(self._end_reason)
            work.interrupt()

    # The way out

    def settle(self, work: Work, *, holds_place: bool = True) -> None:
        """Count the end of a piece of work: its entry has left the scheduler."""
        if holds_place:
            self.places.give_back()
        self.abandoned.discard(work)
        work.token.settle()
        try:
            del self.work[work]
        except KeyError:
            return  # left behind by a shutdown or a failure
        self.verdicts[work.verdict()] += 1
        if self.is_closing:
            self.note_progress()

    def note_abandoned(self, work: Work) -> None:
        """Count a running job whose waiter has left."""
        self.abandoned.add(work)

    def note_unretrieved(self, work: Work, error: BaseException) -> None:
        """Keep the error of a job that nobody has waited for yet."""
        self._unretrieved[work] = error

    def note_retrieved(self, work: Work) -> None:
        """Forget the error: somebody waited for the job."""
        self._unretrieved.pop(work, None)

    def start_child(self, request: "Request") -> None:
        """Run a job's request in a task of the pool."""
        if self._has_left:
            request.fail(PoolClosedError(self.name))
        else:
            start_task(self._nursery, request.run_in_child_task)

    # The end

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Run the workers for the length of the block; leave nothing behind."""
        try:
            self.backend.start()
            self.pump.start(self._nursery)
            forking.track(self)
            yield
            self.is_closing = True  # STOP-1 stop intake
            await self.drain()  # STOP-2 drain
        except BaseException:
            self.cancel(CancelReason.CLOSED)  # STOP-3 cancel
            self.interrupt()
            self._nursery.cancel_scope.cancel()
            await wait_to_the_end(self.patience, self.drain)
            raise
        finally:
            self._has_left = True
            self.patience.stop()
            forking.forget(self)
            await self.ending.finish(LOG_AFTER)  # STOP-4 stop the workers

    async def drain(self, *, but_not: Collection[WorkToken] = ()) -> None:
        """Wait until no task of the lane and no work is left.

        Args:
          but_not: Tokens of what is not waited for. May change meanwhile, if
            `note_progress` is called then.
        """
        while not self._is_drained(but_not):
            await self._progress.park()

    def _is_drained(self, but_not: Collection[WorkToken]) -> bool:
        return all(token in but_not for token in self.lane.tokens) and all(
            work.token in but_not for work in self.work
        )

    def cancel(
        self, reason: CancelReason, *, but_not: Collection[WorkToken] = ()
    ) -> None:
        """End what was accepted, but for some; accept nothing more from anyone.

        What runs has its token set; `interrupt` is the next step.
        """
        self._end_reason = reason
        self.is_closing = self._is_cancelled = True
        self.lane.cancel(reason, but_not=but_not)
        # ORDER: newest first; else the end of what runs lets begin what is to be
        # withdrawn.
        for work in reversed(list(self.work)):
            if work.token not in but_not:
                work.stop(reason)

    def interrupt(self, *, but_not: Collection[WorkToken] = ()) -> None:
        """Interrupt what runs and may be interrupted."""
        for work in list(self.work):
            if work.token not in but_not:
                work.interrupt()

    def is_interrupting(self, *, but_not: Collection[WorkToken] = ()) -> bool:
        """Return whether work that may be interrupted has not ended."""
        return any(
            work.token.may_interrupt and work.token not in but_not for work in self.work
        )

    def leave_behind(self, work: Work, error: BaseException) -> None:
        """Give up on work that does not end; its outcome will be dropped."""
        self.work.pop(work, None)
        work.fail(error)
        self.note_progress()

    def raise_errors(self, *, together_with: BaseException | None = None) -> None:
        """Raise what the block must not leave unsaid, if there is anything."""
        errors: list[BaseException] = list(self._unretrieved.values())
        if self._failure is not None:
            errors.insert(0, self._failure)
        if not errors:
            return
        # An error matters more than that the block was cancelled because of it.
        if together_with is not self._failure and not isinstance(
            together_with, (trio.Cancelled, NoneType)
        ):
            errors.insert(0, together_with)
        if errors == [self._failure]:
            raise errors[0]
        raise BaseExceptionGroup(f"in pool {self.name!r}", errors) from None

    async def wait_progress(self) -> None:
        """Wait until some work has ended."""
        await self._progress.park()

    def note_progress(self) -> None:
        """Have who drains look again."""
        self._progress.unpark_all()

    def _end_with_run(self) -> None:
        """Give up everything: the Trio run ended inside the pool's block."""
        self.is_closing = self._is_cancelled = True
        for work in reversed(list(self.work)):
            # No task is left to be told, so not by `stop`.
            work.token.scopes = None
            work.token.request_stop(CancelReason.CLOSED)
            job = getattr(work, "first_piece", work)  # of a batch; else it is a job
            self.backend.withdraw(cast("Job", job))
        self.work.clear()
        self.port.close()
        with suppress(Exception):  # a task of the backend's is told in vain
            self.backend.stop()
        self.backend.join(but_not=self.backend.running_jobs())

    def break_down(self, error: BaseException) -> Exception:
        """Close loudly: the scheduler cannot be trusted any more.

        Returns:
          What everybody is told.
        """
        if isinstance(error, trio.RunFinishedError):  # no bug; in any thread
            return PoolClosedError(self.name)
        if self._failure is None:
            self._failure = _failure_of(error, self.name)
        self.is_closing = self._is_cancelled = True
        while self.work:  # newest first; an answer may still bring the next
            work = next(reversed(self.work))
            self.leave_behind(work, self._failure)
            work.stop(CancelReason.FAILURE)  # else workers run what is queued
        self._nursery.cancel_scope.cancel()
        return self._failure

    def after_fork(self) -> None:
        """Give up everything in a forked child, in the thread that is left there."""
        self._failure = self.owner.note_forked()
        self.is_closing = self._is_cancelled = True
        self.backend.after_fork()
        self.abandoned.clear()
        if get_ident() == self.owner.thread:  # else its tasks are not in this process
            for work in reversed(list(self.work)):
                work.fail(self._failure)
        self.work.clear()


def _failure_of(error: BaseException, pool_name: str) -> Exception:
    """Return what those are told who wait while the scheduler fails."""
    failure: Exception
    if isinstance(error, BrokenWorkerError):  # an interpreter broke too often
        return error
    if isinstance(error, Exception) and not isinstance(error, MemoryError):
        failure = InternalError("the scheduler failed; please report this as a bug")
    else:  # thrown at the worker's thread from outside
        failure = BrokenWorkerError(
            f"a worker of pool {pool_name!r} was ended by {error!r}, and jobs may have "
            "ended with it; the pool is closed"
        )
    failure.__cause__ = error
    return failure


class _Reports:
    """What the backend reports."""

    __slots__ = ("_intake",)

    def __init__(self, intake: Intake) -> None:
        self._intake = intake

    def failed(self, error: BaseException) -> None:
        """Close the pool; on a worker's thread."""
        self._intake.port.post(_Failure(self._intake, error))

    def asked(self, job: Job, question: Question) -> None:
        """Have Trio run what a job asks for."""
        # Late: a pool of threads does without it, and the native core may be missing.
        from .remote_request import RemoteRequest

        token = job.token
        if isinstance(token, WorkToken):
            self._intake.port.post(RemoteRequest(question, token, job.context))


class _Adoption:
    """A worker's news: a job was pushed from inside a job."""

    __slots__ = ("_intake", "_work")

    def __init__(self, intake: Intake, work: Work) -> None:
        self._intake = intake
        self._work = work

    def deliver(self) -> None:
        self._intake.track_adopted(self._work)

    def fail(self, error: BaseException) -> None:
        self._work.fail(error)


class _Failure:
    """A worker's last words: the scheduler failed."""

    __slots__ = ("_error", "_intake")

    def __init__(self, intake: Intake, error: BaseException) -> None:
        self._intake = intake
        self._error = error

    def deliver(self) -> None:
        self._intake.break_down(self._error)

    def fail(self, error: BaseException) -> None:
        pass
