"""The workers of one pool and everything they share.

Layer: core. Imports: `injector`, `job`, `sleep`, `stats`, `sync`, `worker`.
"""

from collections.abc import Callable, Collection, Sequence

from .._errors import BrokenWorkerError
from . import sync
from .injector import Injector
from .job import Job
from .sleep import Sleep
from .stats import WorkerStatistics
from .worker import Worker

__all__ = ("Registry",)


class Registry:
    """A set of workers, their queues, and the way in.

    Args:
      worker_count: How many workers, at least 1.
      name: Threads are named ``runtime-{name}-{index}``.
      seed: Fixes the workers' choice of victims.
      spin_rounds: How many times an idle worker searches every queue before it
        sleeps, at least 1. More rounds catch the next job without a wake-up and
        use more of a core; with a GIL one is right.
      on_failure: Called once as ``on_failure(error)`` on a worker's thread if the
        scheduler itself fails. The workers that are left stop.

    Thread safety: internally synchronized.
    """

    __slots__ = (
        "_failed",
        "_on_failure",
        "_threads",
        "_workers",
        "injector",
        "is_stopping",
        "name",
        "sleep",
        "spin_rounds",
    )

    def __init__(
        self,
        worker_count: int,
        *,
        name: str = "pool",
        seed: int = 0,
        spin_rounds: int = 1,
        on_failure: Callable[[BaseException], object] | None = None,
    ) -> None:
        assert worker_count >= 1, worker_count
        assert spin_rounds >= 1, spin_rounds
        self.name = name  # immutable
        self.spin_rounds = spin_rounds  # immutable
        self.injector = Injector()  # immutable
        self.sleep = Sleep()  # immutable
        self.is_stopping = False  # atomic: a single store; never cleared
        self._on_failure = on_failure  # immutable
        self._failed = sync.Lock()  # atomic: acquire; locked means it has failed
        workers = [Worker(self, i, seed + i + 1) for i in range(worker_count)]
        stealers = [worker.deque.stealer() for worker in workers]
        for worker in workers:
            others = (s for i, s in enumerate(stealers) if i != worker.index)
            worker.set_victims(tuple(others))
        self._workers = tuple(workers)  # immutable
        self._threads: list[sync.Thread] = []  # owner: whoever starts and joins

    @property
    def worker_count(self) -> int:
        """How many workers there are."""
        return len(self._workers)

    def start(self) -> None:
        """Start the workers, one after another; call it once.

        Raises:
          BrokenWorkerError: a thread could not be started; those that were have
            stopped again.
        """
        for worker in self._workers:
            name = f"runtime-{self.name}-{worker.index}"
            try:
                thread = sync.start_thread(worker.main, name)
            except (RuntimeError, MemoryError) as error:
                self.stop()
                self.join()
                raise BrokenWorkerError(
                    f"worker {worker.index} of pool {self.name!r} could not start: "
                    f"{error}; the system allows no more threads or memory, so ask "
                    "for fewer workers"
                ) from error
            self._threads.append(thread)

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
        for index, thread in enumerate(self._threads):
            if index not in but_not:
                thread.join()

    def fail(self, error: BaseException) -> None:
        """Stop because of a bug of ours; reported once."""
        # ATOMIC(lock-acquire): of several failing workers the first reports.
        if self._failed.acquire(blocking=False) and self._on_failure is not None:
            self._on_failure(error)
        self.stop()

    def is_anyone_idle(self) -> bool:
        """Return whether some worker had nothing to do a moment ago (a hint)."""
        return self.sleep.is_anyone_idle()

    def is_everyone_asleep(self) -> bool:
        """Return whether all workers sleep; for tests and benchmarks that wait."""
        return self.sleep.num_sleeping() == len(self._workers)

    def running_jobs(self) -> dict[int, Job]:
        """Return the jobs that run now by worker index, outermost only."""
        running = ((worker.index, worker.job) for worker in self._workers)
        return {index: job for index, job in running if job is not None}

    def statistics(self) -> tuple[WorkerStatistics, ...]:
        """Return a frozen snapshot of every worker's counters."""
        return tuple(worker.counters.snapshot(worker.index) for worker in self._workers)
