"""One worker: find a job, run it, otherwise sleep.

The order of the search: the own deque (newest first: depth first, warm caches),
then the other workers' deques from a random start (oldest first: the largest
pieces), then the injector. Every `INJECTOR_INTERVAL`-th search begins with the
injector, so that work from outside is never starved by work that begets work.

The sleep protocol, with its labels, is SLEEP.md; how a worker is replaced while its job
waits for something outside the scheduler, SPARES.md.

Layer: core.
"""

from typing import TYPE_CHECKING

from .._errors import BrokenWorkerError, DeadlockError
from . import gil, sync
from .deque import Stealer, WorkDeque
from .job import Job
from .latch import Latch
from .parker import Parker
from .prng import Prng
from .spin import Spin
from .stats import WorkerCounters

if TYPE_CHECKING:
    from .registry import Registry

__all__ = ("Worker", "current_worker")

# Rare enough to cost nothing, often enough that a job from outside waits for at
# most this many pieces of a batch. Arbitrary.
INJECTOR_INTERVAL = 16

# How many deques a look visits while a worker spins: what it costs does not grow with
# the number of workers. Arbitrary.
DEQUES_PER_LOOK = 8

# Parking in short steps (SLEEP.md): 20 steps of 50 ms free what was handed back
# within a second of the last job. Arbitrary.
PARK_STEP = 0.05
PARK_STEPS = 20

# How long a spare sleeps before it ends. Arbitrary.
SPARE_KEEP_ALIVE = 10.0

# Keyed by thread. A dict and not a `threading.local`: reading a dict takes no lock
# on free-threaded builds, and each key is written by its own thread only.
_workers: "dict[int, Worker]" = {}


def current_worker() -> "Worker | None":
    """Return the worker whose thread this is; None outside of one."""
    thread = sync.get_ident()
    # Not `get`, which waits for other threads (INTERRUPT.md).
    return _workers[thread] if thread in _workers else None  # noqa: SIM401


def forget_workers() -> None:
    """Let no thread be a worker any more; in a forked child."""
    _workers.clear()


class Worker:
    """One execution lane of a registry.

    Thread safety: all methods belong to the worker's own thread, but for
    `counters.snapshot`. Other threads hold its stealer and its parker.
    """

    __slots__ = (
        "_prng",
        "_search_count",
        "_spin",
        "_waits",
        "counters",
        "deque",
        "index",
        "job",
        "parker",
        "registry",
        "stealer",
    )

    def __init__(
        self, registry: "Registry", index: int, seed: int, *, is_spare: bool = False
    ) -> None:
        self.registry: Registry = registry  # immutable
        self.index: int = index  # immutable
        self.deque: WorkDeque[Job] = WorkDeque()  # owner
        self.stealer: Stealer[Job] = self.deque.stealer()  # immutable
        self.parker: Parker = Parker(is_spare=is_spare)  # immutable
        self.counters: WorkerCounters = WorkerCounters()  # owner
        self.job: Job | None = None  # owner: the job that runs now
        # The waits it is in, one inside the other; for each whether somebody is present
        # in its stead. A finalizer may wait while a wait begins: no two steps.
        self._waits: list[bool] = []  # owner; truth from anywhere
        self._spin = Spin()  # owner
        self._prng = Prng(seed)  # owner
        self._search_count: int = index  # owner

    # The loop

    def main(self) -> None:
        """Run jobs until the registry stops; the body of the worker's thread."""
        _workers[sync.get_ident()] = self
        try:
            job = self._first_job()
            while job is not None:
                self.execute(job)
                del job  # else the last job lives while the worker sleeps
                # What is queued belongs to the process that was forked.
                job = None if self.registry.is_forked else self._next_job()
        except BaseException as error:
            # Jobs keep their own errors, so this one is ours.
            self.registry.fail(error)
        finally:
            _workers.pop(sync.get_ident(), None)  # a fork may have forgotten it

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

    # Waiting for something outside the scheduler

    def begin_wait(self) -> None:
        """Let another thread work in this one's place; `end_wait` must follow.

        Inside a wait it only counts. From the first `begin_wait` to the last
        `end_wait` the job goes on as before, and may do what a job may.

        Raises:
          DeadlockError: all spares there may be are out.
          BrokenWorkerError: a spare's thread could not be started.
        """
        self._waits.append(not self._waits and self.registry.replace(self))

    def end_wait(self) -> None:
        """Be present again; never waits."""
        if self._waits.pop():
            self.registry.sleep.come_back()

    @property
    def is_waiting(self) -> bool:
        """Whether its job waits outside the scheduler; from any thread (a hint)."""
        return bool(self._waits)

    def wait_in_join(self, done: Latch) -> None:
        """Wait for the thief of a fork, which is in the midst of it."""
        sleep = self.registry.sleep
        if sleep.begin_join():
            done.wait()
            sleep.end_join()
            return
        # Nobody else could run what the thief may wait for. At the bound there is no
        # one to ask for: the fork cannot be given up, so it is waited for even so.
        try:
            self.begin_wait()
        except (DeadlockError, BrokenWorkerError):
            done.wait()
            return
        done.wait()
        self.end_wait()

    # Finding work

    def _first_job(self) -> Job | None:
        """Return the first job; a spare has to be called for before it looks."""
        if not self.parker.is_spare:
            return self._next_job()
        return self._search() if self._park() else None

    def _next_job(self) -> Job | None:
        """Return a job, sleeping until there is one; None: the thread is to end."""
        sleep = self.registry.sleep
        if not sleep.excess:  # SPARE-5 read excess
            job = self._find()
            if job is not None:
                return job
        sleep.become_idle()  # SLEEP-1 idle
        return self._search()

    def _search(self) -> Job | None:
        """Do what `_next_job` does, from idle on."""
        sleep = self.registry.sleep
        while True:
            for look in range(self.registry.spin_rounds):
                # ORDER: the flag before the search; a job may be posted, and the
                # order given, after a search that found nothing.
                is_stopping = self.registry.is_stopping
                if sleep.excess and not is_stopping:  # SPARE-5 read excess
                    break
                is_worth_while = look == 0 or is_stopping or self._glances()
                job = self._find() if is_worth_while else None
                if job is not None:
                    sleep.become_active(self.sees_work)  # SLEEP-2 active
                    return job
                if is_stopping:
                    sleep.become_active(self.sees_work)  # SLEEP-2 active
                    return None
                if not self._spin.offer():
                    break
            if not self._sleep():
                return None

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
        victims = self.registry.stealers
        count = len(victims)
        if count == 1:
            return None
        start = self._prng.below(count)
        for offset in range(count):
            victim = victims[(start + offset) % count]
            if victim is self.stealer:
                continue
            self.counters.steal_attempts += 1
            job = victim.steal()
            if job is not None:
                self.counters.jobs_stolen += 1
                return job
        return None

    def _glances(self) -> bool:
        """Look whether there is work, but only at a few deques."""
        victims = self.registry.stealers
        start = self._prng.below(len(victims))
        few = victims[start : start + DEQUES_PER_LOOK]
        few += victims[: DEQUES_PER_LOOK - len(few)]
        return bool(self.registry.injector) or any(map(len, few))

    def sees_work(self) -> bool:
        """Look at every arrival path of SLEEP.md, in its order, taking nothing."""
        return (
            bool(self.registry.injector)
            or any(map(len, self.registry.stealers))
            or self.registry.is_stopping
        )

    # Falling asleep

    def _sleep(self) -> bool:
        """Go to sleep, unless there is work after all; come back idle.

        Returns:
          False: it was a spare's last sleep.
        """
        sleep = self.registry.sleep
        sleep.become_sleepy(self.parker)  # SLEEP-3 sleepy
        if self.sees_work() and sleep.stay_awake(  # SLEEP-4 last look
            self.parker, is_stopping=self.registry.is_stopping
        ):
            return True
        start_ns = sync.clock_ns()
        self.counters.parks += 1
        is_awake = self._park()  # SLEEP-5 park
        self.counters.wake_ups += is_awake
        self.counters.idle_ns += sync.clock_ns() - start_ns
        return is_awake

    def _park(self) -> bool:
        """Wait for the token: in short steps for a while, then without a limit.

        Returns:
          False: this is a spare, nobody needs it any more, and it is in no list.
        """
        for _ in range(PARK_STEPS):
            if self.parker.park(PARK_STEP):
                return True
            gil.look()
        if not self.parker.is_spare:
            self.parker.park()
            return True
        while not self.parker.park(SPARE_KEEP_ALIVE):
            if not self.deque and self.registry.retire(self):
                return False
        return True
