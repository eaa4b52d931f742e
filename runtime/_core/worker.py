"""One worker: find a job, run it, otherwise sleep.

The order of the search: the own deque (newest first: depth first, warm caches),
then the other workers' deques from a random start (oldest first: the largest
pieces), then the injector. Every `INJECTOR_INTERVAL`-th search begins with the
injector, so that work from outside is never starved by work that begets work.

The sleep protocol, with its labels, is SLEEP.md.

Layer: core. Imports: `job`, `parker`, `prng`, `stats`, `sync`; `registry` for types.
"""

from typing import TYPE_CHECKING

from . import sync
from .deque import Stealer, WorkDeque
from .job import Job
from .parker import Parker
from .prng import Prng
from .stats import WorkerCounters

if TYPE_CHECKING:
    from .registry import Registry

__all__ = ("Worker", "current_worker")

# Rare enough to cost nothing, often enough that a job from outside waits for at
# most this many pieces of a batch. Arbitrary.
INJECTOR_INTERVAL = 16

# Parking in short steps (SLEEP.md): 20 steps of 50 ms free what was handed back
# within a second of the last job. Arbitrary.
PARK_STEP = 0.05
PARK_STEPS = 20

# Keyed by thread. A dict and not a `threading.local`: reading a dict takes no lock
# on free-threaded builds, and each key is written by its own thread only.
_workers: "dict[int, Worker]" = {}


def current_worker() -> "Worker | None":
    """Return the worker whose thread this is; None outside of one."""
    return _workers.get(sync.get_ident())


class Worker:
    """One execution lane of a registry.

    Thread safety: all methods belong to the worker's own thread, but for
    `counters.snapshot`. Other threads hold its stealer and its parker.
    """

    __slots__ = (
        "_prng",
        "_search_count",
        "_victims",
        "counters",
        "deque",
        "index",
        "job",
        "parker",
        "registry",
    )

    def __init__(self, registry: "Registry", index: int, seed: int) -> None:
        self.registry: Registry = registry  # immutable
        self.index: int = index  # immutable
        self.deque: WorkDeque[Job] = WorkDeque()  # owner
        self.parker: Parker = Parker()  # immutable
        self.counters: WorkerCounters = WorkerCounters()  # owner
        self.job: Job | None = None  # owner: the job that runs now
        self._victims: tuple[Stealer[Job], ...] = ()  # immutable once started
        self._prng = Prng(seed)  # owner
        self._search_count: int = index  # owner

    def set_victims(self, victims: tuple[Stealer[Job], ...]) -> None:
        """Tell the worker whom to steal from; before its thread starts."""
        self._victims = victims

    # The loop

    def main(self) -> None:
        """Run jobs until the registry stops; the body of the worker's thread."""
        _workers[sync.get_ident()] = self
        try:
            while (job := self._next_job()) is not None:
                self.execute(job)
                del job  # else the last job lives while the worker sleeps
        except BaseException as error:
            # Jobs keep their own errors, so this one is ours.
            self.registry.fail(error)
        finally:
            del _workers[sync.get_ident()]

    def run_one(self) -> bool:
        """Run one job on the calling thread, if there is one, and return.

        For a worker that has no thread of its own.
        """
        job = self._find()
        if job is None:
            return False
        _workers[sync.get_ident()] = self
        try:
            self.execute(job)
        finally:
            del job, _workers[sync.get_ident()]
        return True

    def execute(self, job: Job) -> None:
        """Run one entry of a queue and let it leave the scheduler."""
        counters = self.counters
        start_ns = sync.clock_ns()
        outer, self.job = self.job, job
        if job.run():
            end_ns = sync.clock_ns()
            counters.jobs_executed += 1
            counters.queue_latency.record(start_ns - job.pushed_ns)
            counters.run_time.record(end_ns - start_ns)
            if outer is None:
                counters.busy_ns += end_ns - start_ns
        self.job = outer
        job.leave()
        del job  # for the same reason as in Job.run

    def push(self, job: Job) -> None:
        """Put a job into the own deque, where others may steal it."""
        job.pushed_ns = sync.clock_ns()
        self.deque.push(job)  # POST-1 own deque
        self.registry.sleep.work_posted()

    def look_outside_next(self) -> None:
        """Let the next search begin with the injector."""
        self._search_count = -1

    # Finding work

    def _next_job(self) -> Job | None:
        """Return a job, sleeping until there is one; None is the order to stop."""
        job = self._find()
        if job is not None:
            return job
        sleep = self.registry.sleep
        sleep.become_idle()  # SLEEP-1 idle
        while True:
            for _ in range(self.registry.spin_rounds):
                # ORDER: the flag before the search; a job may be posted, and the
                # order given, after a search that found nothing.
                is_stopping = self.registry.is_stopping
                job = self._find()
                if job is not None:
                    sleep.become_active(self._sees_work)  # SLEEP-2 active
                    return job
                if is_stopping:
                    sleep.become_active(self._sees_work)  # SLEEP-2 active
                    return None
                # Whoever is to bring the next job may be waiting for this core.
                sync.yield_core()
            self._sleep()

    def _find(self) -> Job | None:
        """Search every queue once."""
        self._search_count += 1
        if self._search_count % INJECTOR_INTERVAL == 0:
            job = self.registry.injector.pop()
            if job is not None:
                return job
        return self.deque.pop() or self._steal() or self.registry.injector.pop()

    def _steal(self) -> Job | None:
        """Try every other worker once, from a random start."""
        victims = self._victims
        count = len(victims)
        if count == 0:
            return None
        start = self._prng.below(count)
        for offset in range(count):
            self.counters.steal_attempts += 1
            job = victims[(start + offset) % count].steal()
            if job is not None:
                self.counters.jobs_stolen += 1
                return job
        return None

    def _sees_work(self) -> bool:
        """Look at every arrival path of SLEEP.md, in its order, taking nothing."""
        return (
            bool(self.registry.injector)
            or any(map(len, self._victims))
            or self.registry.is_stopping
        )

    # Falling asleep

    def _sleep(self) -> None:
        """Go to sleep, unless there is work after all; come back idle."""
        sleep = self.registry.sleep
        sleep.become_sleepy(self.parker)  # SLEEP-3 sleepy
        if self._sees_work() and sleep.stay_awake(self.parker):  # SLEEP-4 last look
            return
        start_ns = sync.clock_ns()
        self.counters.parks += 1
        self._park()  # SLEEP-5 park
        self.counters.wake_ups += 1
        self.counters.idle_ns += sync.clock_ns() - start_ns

    def _park(self) -> None:
        """Wait for the token: in short steps for a while, then without a limit."""
        for _ in range(PARK_STEPS):
            if self.parker.park(PARK_STEP):
                return
        self.parker.park()
