"""The workers of one pool and everything they share.

Nothing here holds a lock, for the reason that `sync.Cell` gives: to start a thread,
say, is Python code, in which the collector may run finalizers that need a spare, too.

Layer: core.
"""

from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

from .._errors import BrokenWorkerError, DeadlockError
from . import sync
from .deque import Stealer
from .injector import Injector
from .job import Job
from .sleep import Sleep
from .stats import WorkerStatistics
from .worker import Worker, forget_workers

__all__ = ("SPARE_LIMIT", "Registry")

# More than anybody needs who waits now and then, few enough to be started. Arbitrary.
SPARE_LIMIT = 256


class _Crew(NamedTuple):
    """Who there is at one moment."""

    # Spares come last, retired ones included.
    workers: tuple[Worker, ...]
    # By index; None before the start.
    threads: tuple[sync.Thread | None, ...]
    # Spares without a thread, whom nobody starts.
    vacant: tuple[Worker, ...]
    # Whom to steal from: all that have a thread.
    stealers: tuple[Stealer[Job], ...]


class Registry:
    """A set of workers, their queues, and the way in.

    Args:
      worker_count: How many workers, at least 1.
      name: Threads are named ``runtime-{name}-{index}``.
      seed: Fixes the workers' choice of victims.
      spin_rounds: How many times an idle worker searches every queue before it
        sleeps, at least 1. More rounds catch the next job without a wake-up and
        use more of a core; with a GIL one is right.
      spare_limit: How many spare threads there may be at a time, for workers whose
        jobs wait for something outside the scheduler (SPARES.md).
      on_failure: Called once as ``on_failure(error)`` on a worker's thread if the
        scheduler itself fails. The workers that are left stop.

    Thread safety: internally synchronized.
    """

    __slots__ = (
        "_crew",
        "_failed",
        "_has_started",
        "_on_failure",
        "injector",
        "is_forked",
        "is_stopping",
        "name",
        "sleep",
        "spare_limit",
        "spin_rounds",
        "worker_count",
    )

    def __init__(
        self,
        worker_count: int,
        *,
        name: str = "pool",
        seed: int = 0,
        spin_rounds: int = 1,
        spare_limit: int = SPARE_LIMIT,
        on_failure: Callable[[BaseException], object] | None = None,
    ) -> None:
        assert worker_count >= 1, worker_count
        assert spin_rounds >= 1, spin_rounds
        assert spare_limit >= 0, spare_limit
        self.name: str = name  # immutable
        self.worker_count: int = worker_count  # immutable
        self.spare_limit: int = spare_limit  # immutable
        self.spin_rounds: int = spin_rounds  # immutable
        self.injector: Injector = Injector()  # immutable
        self.sleep: Sleep = Sleep(worker_count)  # immutable, but for a fork
        self.is_stopping: bool = False  # atomic: a single store; never cleared
        self.is_forked: bool = False  # owner: the only thread of a forked child
        self._on_failure = on_failure  # immutable
        self._failed: sync.LockType = (
            sync.Lock()
        )  # atomic: acquire; locked means it has failed
        self._has_started = False  # owner: whoever starts
        workers = tuple(Worker(self, i, seed + i + 1) for i in range(worker_count))
        stealers = tuple(worker.stealer for worker in workers)
        nobody = (None,) * worker_count
        self._crew = sync.Cell(_Crew(workers, nobody, (), stealers))  # atomic: change

    @property
    def stealers(self) -> tuple[Stealer[Job], ...]:
        """Whom to steal from."""
        return self._crew.read().stealers

    @property
    def _workers(self) -> tuple[Worker, ...]:
        """The workers by index, spares last."""
        return self._crew.read().workers

    @property
    def _threads(self) -> list[sync.Thread]:
        """Their threads, by index."""
        return [t for t in self._crew.change(_look).threads if t is not None]

    def start(self) -> None:
        """Start the workers, one after another; call it once.

        Raises:
          BrokenWorkerError: a thread could not be started; those that were have
            stopped again.
        """
        threads: list[sync.Thread] = []
        for worker in self._workers:
            try:
                threads.append(self._start_thread(worker))
            except BrokenWorkerError:
                self.stop()
                for thread in threads:
                    thread.join()
                raise
        self._crew.change(
            lambda crew: (sync.replace(crew, threads=tuple(threads)), None)
        )
        self._has_started = True

    def inject(self, job: Job) -> None:
        """Hand a job from outside to the workers."""
        job.pushed_ns = sync.clock_ns()
        self.injector.push(job)  # POST-1 injector
        self.sleep.work_posted()

    def inject_many(self, jobs: Sequence[Job]) -> None:
        """Hand over several jobs under one wake-up; each worker wakes the next."""
        now_ns = sync.clock_ns()
        for job in jobs:
            job.pushed_ns = now_ns
        self.injector.push_many(jobs)  # POST-1 injector
        self.sleep.work_posted()

    def withdraw(self, job: Job) -> bool:
        """Take a job back; True if it had not begun and now never will.

        Its empty entry, and others if it is time to compact, leave the scheduler
        now or when a worker comes across them.
        """
        if not job.withdraw():
            return False
        for removed in self.injector.note_withdrawn(job):
            removed.leave()
        return True

    def stop(self) -> None:
        """Tell the workers to stop as soon as they find no more work."""
        self.is_stopping = True  # POST-1 stop
        self.sleep.wake_all()

    def join(self, *, but_not: Collection[int] = ()) -> None:
        """Wait until the workers have stopped.

        Args:
          but_not: Indices of workers to leave behind, stuck in their job. Each
            drops its outcome and ends when that job returns.
        """
        # Whose start was not noted by now is waited for by who started it.
        for index, thread in enumerate(self._crew.change(_look).threads):
            if thread is not None and index not in but_not:
                thread.join()

    def fail(self, error: BaseException) -> None:
        """Stop because of a bug of ours; reported once."""
        # ATOMIC(lock-acquire): of several failing workers the first reports.
        if self._failed.acquire(False) and self._on_failure is not None:
            self._on_failure(error)
        self.stop()

    def after_fork(self) -> None:
        """Give up everything in a forked child, where there are no workers.

        A job that forked goes on in the child, too; its thread takes no other.
        """
        self.is_forked = self.is_stopping = True
        self.sleep = Sleep(self.worker_count)
        self._crew = sync.Cell(sync.replace(self._crew.read(), threads=()))
        forget_workers()

    def is_anyone_idle(self) -> bool:
        """Return whether some worker had nothing to do a moment ago (a hint)."""
        return self.sleep.is_anyone_idle()

    def is_everyone_asleep(self) -> bool:
        """Return whether all workers sleep; for tests and benchmarks that wait."""
        return (
            self.sleep.num_sleeping() == self.worker_count and self.num_waiting() == 0
        )

    def num_waiting(self) -> int:
        """Return how many workers wait outside, with another in their place."""
        return self.sleep.num_away

    def running_jobs(self) -> dict[int, Job]:
        """Return the jobs that run now by worker index, outermost only."""
        running = ((worker.index, worker.job) for worker in self._workers)
        return {index: job for index, job in running if job is not None}

    def statistics(self) -> tuple[WorkerStatistics, ...]:
        """Return a frozen snapshot of every worker's counters."""
        return tuple(worker.counters.snapshot(worker.index) for worker in self._workers)

    # Spares

    def replace(self, worker: Worker) -> bool:
        """Let another be present for a worker that is about to wait outside.

        Returns:
          Whether somebody does; nobody is needed if the registry stops or has no
          threads.
        """
        if not self._has_started or self.is_stopping:
            return False
        thread = None
        if not self.sleep.leave():
            spare, thread = self._start_spare()
            self.sleep.leave(spare.parker)
        # ORDER: the order after the note; who is given it later finds the thread noted.
        is_stopping = self._look_for(worker)  # SPARE-3 last look
        if thread is not None and is_stopping:
            thread.join()
        return True

    def _look_for(self, leaver: Worker) -> bool:
        """Wake whom it takes for what a worker that has left would have found.

        Returns:
          Whether the order to stop was given.
        """
        if self.is_stopping:
            self.sleep.wake_all()
            return True
        if leaver.sees_work():
            self.sleep.work_posted()
        return False

    def retire(self, spare: Worker) -> bool:
        """Let a spare that sleeps end its thread; False if it is needed."""
        if not self.sleep.retire(spare.parker):
            return False

        def note(crew: _Crew) -> tuple[_Crew, None]:
            others = tuple(
                other for other in crew.stealers if other is not spare.stealer
            )
            vacant = (*crew.vacant, spare)
            return sync.replace(crew, vacant=vacant, stealers=others), None

        self._crew.change(note)
        return True

    def _start_spare(self) -> tuple[Worker, sync.Thread]:
        """Start a spare, which parks.

        It is taken first, then its thread starts, then both are there for all. What
        the user's code does meanwhile, in a finalizer say, could be done elsewhere.
        """
        spare = self._crew.change(self._take_vacant)
        if spare is None:
            raise DeadlockError(
                f"{self.spare_limit} jobs of pool {self.name!r} wait for something "
                "outside the pool already, and no thread is left for what they may "
                "wait for; let fewer jobs wait at the same time"
            )

        def note(crew: _Crew) -> tuple[_Crew, None]:
            threads = list(crew.threads)
            threads[spare.index] = thread
            stealers = (*crew.stealers, spare.stealer)
            return sync.replace(crew, threads=tuple(threads), stealers=stealers), None

        def give_up(crew: _Crew) -> tuple[_Crew, None]:
            return sync.replace(crew, vacant=(*crew.vacant, spare)), None

        try:
            retired = self._crew.read().threads[spare.index]
            if retired is not None:
                retired.join()
            thread = self._start_thread(spare)  # SPARE-2 start
        except BaseException:
            self._crew.change(give_up)
            raise
        self._crew.change(note)
        return spare, thread

    def _take_vacant(self, crew: _Crew) -> tuple[_Crew, Worker | None]:
        """Take a spare without a thread, or one more, if there may be one more."""
        if crew.vacant:
            return sync.replace(crew, vacant=crew.vacant[:-1]), crew.vacant[-1]
        index = len(crew.workers)
        if index - self.worker_count >= self.spare_limit:
            return crew, None
        spare = Worker(self, index, index + 1, is_spare=True)
        workers, threads = (*crew.workers, spare), (*crew.threads, None)
        return sync.replace(crew, workers=workers, threads=threads), spare

    def _start_thread(self, worker: Worker) -> sync.Thread:
        name = f"runtime-{self.name}-{worker.index}"
        try:
            return sync.start_thread(worker.main, name)
        except (RuntimeError, MemoryError) as error:
            raise BrokenWorkerError(
                f"worker {worker.index} of pool {self.name!r} could not start: "
                f"{error}; the system allows no more threads or memory, so ask "
                "for fewer workers"
            ) from error


def _look(crew: _Crew) -> tuple[_Crew, _Crew]:
    """Change nothing: a step that has its place among the others."""
    return crew, crew
