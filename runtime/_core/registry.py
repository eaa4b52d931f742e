"""The workers of one pool and everything they share.

Layer: core. Imports: `deque`, `injector`, `job`, `parker`, `sleep`, `stats`, `sync`,
`worker`.
"""

from collections.abc import Callable, Collection, Sequence

from .._errors import BrokenWorkerError, DeadlockError
from . import sync
from .deque import Stealer
from .injector import Injector
from .job import Job
from .parker import Parker
from .sleep import Sleep
from .stats import WorkerStatistics
from .worker import Worker, forget_workers

__all__ = ("SPARE_LIMIT", "Registry")

# More than anybody needs who waits now and then, few enough to be started. Arbitrary.
SPARE_LIMIT = 256


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
        "_failed",
        "_has_started",
        "_lock",
        "_on_failure",
        "_retired",
        "_threads",
        "_workers",
        "injector",
        "is_forked",
        "is_stopping",
        "name",
        "sleep",
        "spare_limit",
        "spin_rounds",
        "stealers",
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
        # Before the lock of `sleep`; no user code runs under it.
        self._lock = sync.Lock()  # atomic: acquire, release
        workers = (Worker(self, i, seed + i + 1) for i in range(worker_count))
        # Spares come last, retired ones included. atomic: replaced under the lock
        self._workers: tuple[Worker, ...] = tuple(workers)
        self._retired: list[Worker] = []  # guarded by: self._lock
        self._threads: list[sync.Thread] = []  # guarded by: self._lock; by index
        self._has_started = False  # owner: whoever starts
        # Whom to steal from. atomic: replaced under the lock
        self.stealers: tuple[Stealer[Job], ...] = ()
        self._list_stealers()

    def start(self) -> None:
        """Start the workers, one after another; call it once.

        Raises:
          BrokenWorkerError: a thread could not be started; those that were have
            stopped again.
        """
        for worker in self._workers:
            try:
                thread = self._start_thread(worker)
            except BrokenWorkerError:
                self.stop()
                self.join()
                raise
            self._threads.append(thread)
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
        # A spare is started under the lock, and none is after the order to stop.
        with self._lock:
            threads = list(enumerate(self._threads))
        for index, thread in threads:
            if index not in but_not:
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
        # Threads that are gone may have held these locks.
        self.sleep = Sleep(self.worker_count)
        self._lock = sync.Lock()
        self._threads = []
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
        while not self.sleep.leave():
            fresh = self._start_spare()
            if fresh is None:
                return False
            if self.sleep.leave(fresh):
                break
        self._look_for(worker)  # SPARE-3 last look
        return True

    def _look_for(self, leaver: Worker) -> None:
        """Wake whom it takes for what a worker that has left would have found."""
        if self.is_stopping:
            self.sleep.wake_all()
        elif leaver.sees_work():
            self.sleep.work_posted()

    def retire(self, spare: Worker) -> bool:
        """Let a spare that sleeps end its thread; False if it is needed."""
        with self._lock:
            if not self.sleep.retire(spare.parker):
                return False
            self._retired.append(spare)
            self._list_stealers()
            return True

    def _start_spare(self) -> Parker | None:
        """Start a spare, which parks; None after the order to stop."""
        with self._lock:
            if self.is_stopping:
                return None
            spare = self._new_spare() if not self._retired else self._retired[-1]
            thread = self._start_thread(spare)  # SPARE-2 start
            if spare.index < len(self._threads):
                self._threads[spare.index].join()  # it has retired
                self._threads[spare.index] = thread
                self._retired.pop()
            else:
                self._threads.append(thread)
                self._workers = (*self._workers, spare)
            self._list_stealers()
        return spare.parker

    def _new_spare(self) -> Worker:
        """Make one more worker, if there may be one more."""
        index = len(self._workers)
        if index - self.worker_count >= self.spare_limit:
            raise DeadlockError(
                f"{self.spare_limit} jobs of pool {self.name!r} wait for something "
                "outside the pool already, and no thread is left for what they may "
                "wait for; let fewer jobs wait at the same time"
            )
        return Worker(self, index, index + 1, is_spare=True)

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

    def _list_stealers(self) -> None:
        """Tell every worker whom to steal from: all but the retired."""
        present = (worker for worker in self._workers if worker not in self._retired)
        self.stealers = tuple(worker.stealer for worker in present)
