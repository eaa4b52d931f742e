"""The threads that run a worker's jobs inside its interpreter: one, and its spares.

While a job waits outside the pool, a spare works in its thread's place. Who takes jobs
from the queues has the *seat*; a job whose thread has been away is *detached* from it.

    CREW-1  step aside: detach the job, be one less present
    CREW-2  nobody is left: hand over to a thread in reserve, or to a new one
    CREW-3  come back: be one more present; take the seat, or recall who waits there
    CREW-4  between two jobs: if others are present, give them the seat, and into
            reserve; else to the seat
    CREW-5  it is over: wake those in reserve, end

The reasons and the bad interleavings are in CROSSING.md.

Layer: backends, worker side.
"""

from _thread import allocate_lock, get_ident
from contextvars import Context

from .._errors import BrokenWorkerError, DeadlockError, NotOnWorkerError
from . import answers

TYPE_CHECKING = False  # not from typing, which is slow to import
if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from .._native.scheduler import EncodedJob, SharedWorker

__all__ = ("Crew", "Runner", "current_crew", "current_job", "runner_of_job")

# Who runs jobs in this interpreter, by thread.
_runners: "dict[int, Runner]" = {}  # atomic: one thread per key


class Runner:
    """One thread that runs jobs.

    Thread safety: owned by its thread, but for `called`.
    """

    __slots__ = ("called", "crew", "job", "number", "waits")

    def __init__(self, crew: "Crew") -> None:
        self.crew = crew  # immutable
        self.job: EncodedJob | None = None  # owner; RACE in `Crew.come_back`
        # Of its job while that is detached; 0: it is at the seat, or there is none.
        self.number = 0  # guarded by: the lock of the crew, while it is listed there
        self.waits = 0  # owner: how many waits it is inside of
        # Locked while it parks in reserve.
        self.called = allocate_lock()  # atomic: acquire, release
        self.called.acquire()

    def begin_wait(self) -> None:
        """Let another thread work in this one's place; `end_wait` must follow.

        Inside a wait it only counts.

        Raises:
          DeadlockError: as many jobs of the pool wait as may.
          BrokenWorkerError: a spare's thread could not be started.
        """
        if self.waits == 0:
            self.crew.step_aside(self)
        self.waits += 1

    def end_wait(self) -> None:
        """Be present again; never waits."""
        self.waits -= 1
        if self.waits == 0:
            self.crew.come_back(self)

    def has_seat(self) -> bool:
        """Return whether its job is at the seat."""
        return self.crew.is_single or self.crew.is_seated(self)

    def finish(self, answer: int, frames: tuple[object, ...]) -> None:
        """Answer its job."""
        if self.waits:  # a block that was entered by hand, and never left
            self.waits = 1
            self.end_wait()
        if not self.crew.is_single:
            self.crew.keep_place(self)
        if self.number == 0:
            self.crew.worker.finish(answer, frames)
        else:
            self.crew.worker.finish_detached(self.number, answer, frames)
            self.number = 0


def current_job() -> "EncodedJob | None":
    """Return the job that the calling thread runs; None outside of one."""
    runner = _runners.get(get_ident())
    return None if runner is None else runner.job


def current_crew() -> "Crew | None":
    """Return the crew whose job the calling thread runs; None outside of one."""
    runner = _runners.get(get_ident())
    return None if runner is None or runner.job is None else runner.crew


def runner_of_job(verb: str, instead: str) -> Runner:
    """Return the calling thread's runner, which is inside a job.

    Raises:
      NotOnWorkerError: there is none; says that of ``verb``, and ``instead`` of it.
    """
    runner = _runners.get(get_ident())
    if runner is None or runner.job is None:
        raise NotOnWorkerError(verb, instead)
    return runner


class Crew:
    """All threads that run jobs in this interpreter.

    Args:
      worker: The worker's end of the queues.
      max_jobs: How many jobs to run at most; 0 for any number.
      pool_name: For messages.
      spare_limit: How many jobs of the pool may wait at a time; for messages.
      work: Called as ``work(runner)`` in each thread; returns when `take_turn` or
        `note_empty` says so.
    """

    def __init__(
        self,
        worker: "SharedWorker",
        max_jobs: int,
        *,
        pool_name: str,
        spare_limit: int,
        work: "Callable[[Runner], None]",
    ) -> None:
        self.worker = worker  # immutable
        self.pool_name = pool_name  # immutable
        # What stands for a worker where a job runs in place; see `_iter.place`.
        self.in_place: object = None  # atomic: a single store
        self._spare_limit = spare_limit  # immutable
        self._work = work  # immutable
        self._max_jobs = max_jobs  # immutable
        self._jobs_run = 0  # owner: who has the seat
        # While true, `take_turn` has nothing to say.
        self.is_single = max_jobs == 0  # atomic: cleared once, before there are others
        # No user code runs under this lock.
        self._lock = allocate_lock()  # atomic: acquire, release
        self._num_present = 1  # guarded by: self._lock
        self._num_away = 0  # guarded by: self._lock
        self._seated: Runner | None = None  # guarded by: self._lock
        # Present, in a job that is detached.
        self._beside: list[Runner] = []  # guarded by: self._lock
        self._reserve: list[Runner] = []  # guarded by: self._lock
        self._threads: list[threading.Thread] = []  # guarded by: self._lock
        self._is_recalled = False  # guarded by: self._lock
        self._is_over = False  # guarded by: self._lock; never cleared
        self._failure: BaseException | None = None  # guarded by: self._lock

    def run(self) -> None:
        """Run jobs in this thread and in the spares that it takes, until it is over."""
        runner = self._seated = Runner(self)
        self._be(runner)
        with self._lock:
            threads = self._threads
        for thread in threads:  # no more come when it is over
            thread.join()
        self._seated = None  # else a cycle keeps the worker's end of the queues
        if self._failure is not None:
            raise self._failure

    def _be(self, runner: Runner) -> None:
        """Work as the calling thread."""
        ident = get_ident()
        _runners[ident] = runner
        try:
            self._work(runner)
        except BaseException as error:  # ours, for whatever a job raises is its answer
            self._fail(runner, error)
        finally:
            del _runners[ident]

    # Between jobs

    def take_turn(self, runner: Runner) -> bool:
        """Wait until the thread is to take the next job; False: it is to end."""
        while True:
            with self._lock:  # CREW-4 between two jobs
                if self._seated is runner:
                    self._leave_seat()
                if self._is_over:
                    return False
                if self._num_present == 1:
                    if self._has_had_its_jobs() and self._num_away == 0:
                        self._end()
                        return False
                    self._seated = runner
                    return True
                self._num_present -= 1
                self._reserve.append(runner)
            runner.called.acquire()

    def note_job(self) -> None:
        """Count a job that was taken; by who has the seat."""
        self._jobs_run += 1

    def note_empty(self) -> bool:
        """Note that the queues gave no job; False: it is the order to stop."""
        with self._lock:
            was_recalled, self._is_recalled = self._is_recalled, False
            if not was_recalled:
                self._end()
        return was_recalled

    def _has_had_its_jobs(self) -> bool:
        return 0 < self._max_jobs <= self._jobs_run

    def _end(self) -> None:
        """Have everybody end who is not in a job; under the lock."""
        self._is_over = True
        while self._reserve:
            self._reserve.pop().called.release()  # CREW-5 over

    def _fail(self, runner: Runner, error: BaseException) -> None:
        """End everything because a thread broke."""
        with self._lock:
            self._failure = self._failure or error
            self._end()
            self._recall()
            has_job = runner.number != 0 or self._seated is runner
        # What the others wait for may need this worker.
        self.worker.hang_up()
        if has_job:
            try:
                runner.finish(answers.BROKEN, ())
            except BaseException:  # none ran, or no memory: then the end does it
                pass

    # Around a wait

    def step_aside(self, runner: Runner) -> None:
        """Let another thread be present in place of this one, which is in a job."""
        if not self.worker.begin_wait():
            raise DeadlockError(
                f"{self._spare_limit} jobs of pool {self.pool_name!r} wait for "
                "something outside the pool already, and no thread is left for what "
                "they may wait for; let fewer jobs wait at the same time"
            )
        try:
            with self._lock:
                self._replace(runner)
        except BaseException:
            self.worker.end_wait()
            raise

    def _replace(self, runner: Runner) -> None:
        is_needed = self._num_present == 1 and not self._is_over
        if is_needed and not self._reserve:
            self._start_spare()  # ORDER: first, for it may fail
        if self._seated is runner:
            runner.number = self.worker.detach()  # CREW-1 step aside
            self._leave_seat()
        else:
            self._beside.remove(runner)
        self._num_away += 1
        if is_needed:
            self._reserve.pop().called.release()  # CREW-2 hand over
        else:
            self._num_present -= 1

    def come_back(self, runner: Runner) -> None:
        """Be present again, and in nobody's way."""
        self.worker.end_wait()
        with self._lock:
            self._num_away -= 1
            self._num_present += 1
            # RACE: who is seated may get a job now; then the recall comes late.
            seated = self._seated
            self._beside.append(runner)
            if seated is None:
                self._leave_seat()
            elif seated.job is None:
                self._recall()

    def is_seated(self, runner: Runner) -> bool:
        """Return whether the runner has the seat."""
        with self._lock:
            return self._seated is runner

    def keep_place(self, runner: Runner) -> None:
        """Leave a runner where it is, at the seat or beside it, until its next turn."""
        with self._lock:
            if runner in self._beside:
                self._beside.remove(runner)

    def _leave_seat(self) -> None:
        """Give the seat to one who is in a job beside it; under the lock."""
        self._seated = None
        if self._beside:
            runner = self._seated = self._beside.pop()
            self.worker.attach(runner.number)  # CREW-3 come back
            runner.number = 0

    def _recall(self) -> None:
        """Have who waits for work look again; under the lock."""
        if not self._is_recalled:
            self._is_recalled = True  # ORDER: before it can be seen
            self.worker.recall()

    def _start_spare(self) -> None:
        """Put one more thread into reserve; under the lock."""
        import threading  # only where it is needed: every worker would pay for it

        runner = Runner(self)

        def wait_and_work() -> None:
            runner.called.acquire()
            self._be(runner)

        name = f"runtime-{self.pool_name}-spare"
        # Not a daemon, which an interpreter of a pool does not allow.
        thread = threading.Thread(target=wait_and_work, name=name, daemon=False)
        try:
            Context().run(thread.start)  # inherits no context variables
        except (RuntimeError, MemoryError) as error:
            raise BrokenWorkerError(
                f"a spare thread of pool {self.pool_name!r} could not start: {error}; "
                "the system allows no more threads or memory, so let fewer jobs wait "
                "at the same time"
            ) from error
        self.is_single = False
        self._threads.append(thread)
        self._reserve.append(runner)
