"""What a pool tells about itself: frozen snapshots.

Layer: frontend.
"""

from dataclasses import dataclass
from types import CodeType
from typing import TYPE_CHECKING

from .._core import HistogramSnapshot, WorkerStatistics, core, gil
from .._util import is_gil_enabled
from .work import Verdict

if TYPE_CHECKING:
    from .intake import Intake

__all__ = (
    "PoolStatistics",
    "ShutdownReport",
    "Straggler",
    "statistics_of",
    "straggler_of",
)


@dataclass(frozen=True, slots=True)
class PoolStatistics:
    """A pool at one moment, counted since it was opened.

    A batch or a block of a map counts as one piece of work here; its pieces show
    in the workers' counters.

    Attributes:
      name: The pool's name.
      worker_count: How many workers it has.
      backend: ``"threads"`` or ``"interpreters"``.
      gil_enabled: Whether a GIL is on in this process: then threads take turns. On a
        build that can do without one, an import has turned it on; the log names it.
      core: Which build of the scheduler runs it, ``"native"`` or ``"python"``.
      queued: Entries in the injector, withdrawn ones that were not yet removed
        included.
      running: Threads that are inside a job, those that wait included.
      waiting: Of these, how many wait in `runtime.blocking` or `runtime.from_worker`
        while a spare thread works in their place.
      in_flight: Work accepted and not yet settled.
      abandoned: Running jobs whose waiter left with ``on_cancel="abandon"``.
      unreached: Running work that was to be interrupted and was not so far, mostly
        because it is inside one long call of C.
      jobs_completed: Work that ended with a value.
      jobs_failed: Work that ended with an error, cancellation included.
      jobs_withdrawn: Work that was cancelled before it began.
      refused_modules: Extension modules that an interpreter of the pool refused to
        load, since they do not support subinterpreters, in the order of their first
        refusal. Their packages fail there, or run slower Python code instead: use a
        pool with ``backend="threads"`` for them. Those that the standard library does
        without are left out. Known when the job that imported one has ended; always
        empty for threads.
      workers: One snapshot per worker, by index; then one per spare thread, if any,
        but those inside an interpreter, which count with their worker.
    """

    name: str
    worker_count: int
    backend: str
    gil_enabled: bool
    core: str
    queued: int
    running: int
    waiting: int
    in_flight: int
    abandoned: int
    unreached: int
    jobs_completed: int
    jobs_failed: int
    jobs_withdrawn: int
    refused_modules: tuple[str, ...]
    workers: tuple[WorkerStatistics, ...]

    @property
    def jobs_executed(self) -> int:
        """Jobs run to an outcome by all workers, pieces of batches included."""
        return sum(worker.jobs_executed for worker in self.workers)

    @property
    def jobs_stolen(self) -> int:
        """Jobs that workers took from each other."""
        return sum(worker.jobs_stolen for worker in self.workers)

    @property
    def queue_latency(self) -> HistogramSnapshot:
        """From the push of a job to its start, over all workers."""
        return HistogramSnapshot.merge(worker.queue_latency for worker in self.workers)

    @property
    def run_time(self) -> HistogramSnapshot:
        """From the start of a job to its outcome, over all workers."""
        return HistogramSnapshot.merge(worker.run_time for worker in self.workers)

    @property
    def utilization_ratio(self) -> float:
        """Share of the workers' time spent inside jobs, 0 to 1.

        Of the time that is settled: a job that still runs and a worker that still
        sleeps are not in it. 0 if nothing is settled.
        """
        busy_ns = sum(worker.busy_ns for worker in self.workers)
        total_ns = busy_ns + sum(worker.idle_ns for worker in self.workers)
        return busy_ns / total_ns if total_ns else 0.0


def statistics_of(intake: "Intake") -> PoolStatistics:
    """Take a snapshot of a pool; in any thread."""
    gil.look()
    backend, verdicts = intake.backend, intake.verdicts
    # ATOMIC(dict-list): the Trio thread may change it meanwhile.
    works = list(intake.work)
    return PoolStatistics(
        name=intake.name,
        worker_count=backend.worker_count,
        backend=backend.kind,
        gil_enabled=is_gil_enabled(),
        core=core,
        queued=backend.queued(),
        running=len(backend.running_jobs()),
        waiting=backend.num_waiting(),
        in_flight=len(works),
        abandoned=len(intake.abandoned),
        unreached=sum(work.token.is_unreached() for work in works),
        jobs_completed=verdicts[Verdict.COMPLETED],
        jobs_failed=verdicts[Verdict.FAILED],
        jobs_withdrawn=verdicts[Verdict.WITHDRAWN],
        refused_modules=backend.refused_modules(),
        workers=backend.statistics(),
    )


@dataclass(frozen=True, slots=True)
class Straggler:
    """A job that still ran when a shutdown's grace period was over.

    Attributes:
      name: The job's name.
      file: Where its function is defined; None for a builtin.
      line: First line of the function; None for a builtin.
      is_unreached: Whether it was to be interrupted and was not, mostly because it is
        inside one long call of C. It will be when that returns.
    """

    name: str
    file: str | None
    line: int | None
    is_unreached: bool = False

    def __str__(self) -> str:
        """Return the name and, if known, the place."""
        if self.file is None:
            return self.name
        return f"{self.name} ({self.file}:{self.line})"


def straggler_of(
    name: str, code: CodeType | None, *, is_unreached: bool = False
) -> Straggler:
    """Describe a job by its name and its function's code."""
    if code is None:
        return Straggler(name, None, None, is_unreached)
    return Straggler(name, code.co_filename, code.co_firstlineno, is_unreached)


@dataclass(frozen=True, slots=True)
class ShutdownReport:
    """What became of the work that was in flight when `WorkerPool.shutdown` was called.

    Attributes:
      completed: Ended by itself within the grace period, with a value or an error.
      withdrawn: Was still queued at its end; never began.
      cancelled: Ended after its token was set.
      abandoned: Of these, jobs whose waiter had left before.
      still_running: Left behind; each worker ends when its job returns.
      threads_left: Threads that jobs have started in interpreters and that still ran
        at its end. The interpreters cannot end before them; nobody waits for that.
    """

    completed: int
    withdrawn: int
    cancelled: int
    abandoned: int
    still_running: tuple[Straggler, ...]
    threads_left: tuple[str, ...] = ()
