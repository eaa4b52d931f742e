"""What a pool has accepted, until it is settled; and the pool's end.

Work takes a place, comes in through `inject` or `track`, and is settled when its
entry has left the scheduler. Leaving the pool's block:

* **STOP-1** stop intake: whoever comes now gets `PoolClosedError`. What was accepted
  may still use the pool: tasks of the async lane, and what jobs ask for through
  `runtime.from_worker`.
* **STOP-2** drain: wait for the lane's tasks and for the work.
* **STOP-3** cancel, where the block is left by an error or a cancellation, or a
  grace period is over: withdraw what is queued, set the token of what runs, and
  wait on.
* **STOP-4** stop the workers and wait for their threads.

Layer: frontend. Imports: `runtime._core`, trio.
"""

from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from operator import attrgetter
from types import NoneType
from typing import TYPE_CHECKING

import trio

from .._core import Batch, Job, Registry, current_worker
from .._errors import (
    BrokenWorkerError,
    InternalError,
    JobCancelled,
    PoolClosedError,
)
from .bound import Bound
from .lane import AsyncLane
from .port import CompletionPort
from .token import accepted_by
from .work import Verdict, Work

if TYPE_CHECKING:
    from .batch import BatchState
    from .from_worker import Request

__all__ = ("Intake", "MakeRegistry")

# Given the pool's nursery, and whom to call if the scheduler fails.
type MakeRegistry = Callable[[trio.Nursery, Callable[[BaseException], None]], Registry]


class Intake:
    """The bookkeeping of one pool.

    Thread safety: externally synchronized, by the Trio thread. Workers reach only
    `port`, `is_inside_job` and `adopt`.
    """

    __slots__ = (
        "_failure",
        "_has_left",
        "_is_cancelled",
        "_nursery",
        "_progress",
        "_unretrieved",
        "abandoned",
        "is_closing",
        "lane",
        "make_batch",
        "name",
        "phase_of",
        "places",
        "port",
        "registry",
        "verdicts",
        "work",
    )

    def __init__(
        self,
        nursery: trio.Nursery,
        make_registry: MakeRegistry,
        *,
        name: str,
        queue_capacity: int,
    ) -> None:
        self.name: str = name  # immutable
        self.port: CompletionPort = CompletionPort()  # immutable
        self.registry: Registry = make_registry(
            nursery, self._report_failure
        )  # immutable
        # What a backend may do in its own way.
        if bind := getattr(self.registry, "bind", None):
            bind(self.port)
        self.make_batch: Callable[..., BatchState] = getattr(  # immutable
            self.registry, "make_batch", Batch
        )
        self.phase_of: Callable[[Job], int] = getattr(  # immutable
            self.registry, "phase_of", attrgetter("phase")
        )
        self._nursery: trio.Nursery = nursery  # immutable
        worker_count = self.registry.worker_count
        self.lane: AsyncLane = AsyncLane(  # immutable
            nursery,
            limit=worker_count,
            capacity=queue_capacity,
            owner=self,
            on_end=self._note_progress,
        )
        # A place for each queued job and one for each that runs.
        self.places: Bound = Bound(
            queue_capacity + worker_count, self.check_open
        )  # immutable
        # All that follows belongs to the Trio thread.
        # Accepted and not settled; used as an ordered set.
        self.work: dict[Work, None] = {}  # owner
        self.abandoned: set[Work] = set()  # owner: of these, with no waiter left
        self.verdicts: Counter[Verdict] = Counter[
            Verdict
        ]()  # owner: how settled work ended
        self._unretrieved: dict[Work, BaseException] = {}  # owner: jobs' errors
        self.is_closing: bool = False  # owner
        # Closing, and not gracefully. Written in the Trio thread, read by workers.
        self._is_cancelled = False  # atomic: a single store; never cleared
        self._has_left = False  # owner: the block is over
        self._failure: Exception | None = None  # owner
        self._progress = trio.lowlevel.ParkingLot()  # owner: who drains

    # The way in

    def check_open(self) -> None:
        """Raise unless the calling task may bring work."""
        if self._failure is not None:
            raise self._failure
        if self.is_closing and (self._is_cancelled or accepted_by.get() is not self):
            raise PoolClosedError(self.name)

    def track(self, work: Work) -> None:
        """Count a piece of work as accepted."""
        self.work[work] = None

    def inject(self, work: Work, job: Job) -> None:
        """Count a piece of work as accepted and hand its job to the workers."""
        self.work[work] = None
        self.registry.inject(job)

    def is_inside_job(self) -> bool:
        """Return whether this is called inside one of this pool's jobs."""
        worker = current_worker()
        return worker is not None and worker.registry is self.registry

    def adopt(self, work: Work, job: Job) -> None:
        """Accept a job from inside a job: to the worker's own deque, at no place.

        Raises:
          JobCancelled: the pool is being cancelled; else jobs that submit their
            successors would keep it open for ever.
        """
        # RACE: the pool may be cancelled just after; then `track_adopted` stops it.
        if self._is_cancelled:
            raise JobCancelled
        worker = current_worker()
        assert worker is not None
        # ORDER: the pool learns of the job before the job can end, because the
        # port delivers in the order of posts.
        self.port.post(_Adoption(self, work))
        worker.push(job)

    def track_adopted(self, work: Work) -> None:
        """Count work that `adopt` accepted; in the Trio thread."""
        self.work[work] = None
        if self._is_cancelled:
            work.stop("the end of its pool")

    # The way out

    def settle(self, work: Work, *, holds_place: bool = True) -> None:
        """Count the end of a piece of work: its entry has left the scheduler."""
        if holds_place:
            self.places.give_back()
        if work not in self.work:
            return  # left behind by a shutdown or a failure
        del self.work[work]
        self.abandoned.discard(work)
        self.verdicts[work.verdict()] += 1
        if self.is_closing:
            self._note_progress()

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
            request.refuse(PoolClosedError(self.name))
        else:
            self._nursery.start_soon(request.run_in_child_task)

    # The end

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Run the workers for the length of the block; leave nothing behind."""
        self.registry.start()
        try:
            yield
            self.is_closing = True  # STOP-1 stop intake
            await self.drain()  # STOP-2 drain
        except BaseException:
            self.cancel("its pool, whose block was left early")  # STOP-3 cancel
            self._nursery.cancel_scope.cancel()
            with trio.CancelScope(shield=True):
                await self.drain()
            raise
        finally:
            self._has_left = True
            self.registry.stop()  # STOP-4 stop the workers
            self.registry.join(but_not=self.registry.running_jobs())

    async def drain(self) -> None:
        """Wait until no task of the lane and no work is left."""
        while self.lane.task_count or self.work:
            await self._progress.park()

    def cancel(self, cause: str) -> None:
        """End everything that was accepted; accept nothing more from anyone."""
        self.is_closing = self._is_cancelled = True
        self.lane.cancel()
        # ORDER: newest first; else the end of what runs lets begin what is to be
        # withdrawn.
        for work in reversed(list(self.work)):
            work.stop(cause)

    def leave_behind(self, work: Work, error: BaseException) -> None:
        """Give up on work that does not end; its outcome will be dropped."""
        self.work.pop(work, None)
        work.fail(error)
        self._note_progress()

    def raise_errors(self, *, together_with: BaseException | None = None) -> None:
        """Raise what the block must not leave unsaid, if there is anything."""
        errors: list[BaseException] = list(self._unretrieved.values())
        if self._failure is not None:
            errors.insert(0, self._failure)
        if not errors:
            return
        # An error matters more than that the block was cancelled because of it.
        if together_with is not self._failure and not isinstance(
            together_with, (trio.Cancelled, InternalError, NoneType)
        ):
            errors.insert(0, together_with)
        if errors == [self._failure]:
            raise errors[0]
        raise BaseExceptionGroup(f"in pool {self.name!r}", errors) from None

    def _note_progress(self) -> None:
        self._progress.unpark_all()

    def _report_failure(self, error: BaseException) -> None:
        """Report a bug of ours; on a worker's thread."""
        self.port.post(_Failure(self, error))

    def break_down(self, error: BaseException) -> None:
        """Close loudly: the scheduler cannot be trusted any more."""
        if isinstance(error, BrokenWorkerError):
            failure: Exception = error
        else:
            failure = InternalError("the scheduler failed; please report this as a bug")
            failure.__cause__ = error
        self._failure = failure
        self.is_closing = self._is_cancelled = True
        for work in list(self.work):
            self.leave_behind(work, failure)
        self._nursery.cancel_scope.cancel()


class _Adoption:
    """A worker's news: a job was pushed from inside a job."""

    __slots__ = ("_intake", "_work")

    def __init__(self, intake: Intake, work: Work) -> None:
        self._intake = intake
        self._work = work

    def deliver(self) -> None:
        self._intake.track_adopted(self._work)


class _Failure:
    """A worker's last words: the scheduler failed."""

    __slots__ = ("_error", "_intake")

    def __init__(self, intake: Intake, error: BaseException) -> None:
        self._intake = intake
        self._error = error

    def deliver(self) -> None:
        self._intake.break_down(self._error)
