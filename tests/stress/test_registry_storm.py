"""Everything at once, on real workers, with a printed seed.

The seed fixes what is asked for, not how the threads interleave: a failure may
need several runs to come back.
"""

import contextvars
import random
import threading

import pytest
from helpers import TIMEOUT, run_threaded

from runtime._core import (
    DONE,
    WITHDRAWN,
    Batch,
    CancelToken,
    Job,
    Registry,
    current_worker,
)
from runtime._core import batch as batch_module

pytestmark = [pytest.mark.stress, pytest.mark.slow]

STORMS = 150
DRIVERS = 2


class StormJob(Job):
    """A job that counts its runs and its departures; each must happen in one thread."""

    __slots__ = ("leave_count", "run_count")

    def __init__(self, storm, fn, *args, lane=1):
        super().__init__(
            self.call, (fn, *args), contextvars.Context(), sink=count_leave, lane=lane
        )
        self.run_count = 0
        self.leave_count = 0
        storm.accepted.append(self)

    def call(self, fn, *args):
        self.run_count += 1
        return fn(*args)


def count_leave(job):
    job.leave_count += 1


class Storm:
    """One registry, what was asked of it, and what is true at the end."""

    def __init__(self, seed):
        dice = random.Random(seed)
        self.registry = Registry(
            dice.randint(1, 4), seed=seed, spin_rounds=dice.choice([1, 1, 4])
        )
        self.accepted = []
        self.batches = []
        self._driver_seeds = [dice.random() for _ in range(DRIVERS)]

    def run(self):
        self.registry.start()
        run_threaded(*(lambda s=s: self.drive(s) for s in self._driver_seeds))
        # Intake has ended; most of what was accepted has not.
        self.registry.stop()
        for thread in self.registry._threads:
            thread.join(TIMEOUT)
            assert not thread.is_alive(), f"{thread.name} did not end"

    def drive(self, seed):
        dice = random.Random(seed)
        acts = [self.inject, self.inject_many, self.withdraw, self.run_batch]
        for _ in range(dice.randint(1, 60)):
            dice.choices(acts, weights=[5, 2, 4, 1])[0](dice)

    def job(self, dice):
        kind = dice.choice([self.work, self.work, self.spread, self.fail, self.meddle])
        return StormJob(self, kind, dice.random(), lane=dice.randrange(3))

    # What drivers do

    def inject(self, dice):
        self.registry.inject(self.job(dice))

    def inject_many(self, dice):
        self.registry.inject_many([self.job(dice) for _ in range(dice.randint(0, 20))])

    def withdraw(self, dice):
        if self.accepted:
            for _ in range(dice.randint(1, 20)):
                self.registry.withdraw(dice.choice(self.accepted))

    def run_batch(self, dice):
        storm_batch = StormBatch(dice)
        self.batches.append(storm_batch)
        self.registry.inject(storm_batch.first)
        if dice.random() < 0.2:
            storm_batch.token.is_set = True
        if dice.random() < 0.2:
            self.registry.withdraw(storm_batch.first)

    # What jobs do

    def work(self, seed):
        sum(range(random.Random(seed).randrange(3_000)))

    def spread(self, seed):
        dice = random.Random(seed)
        for _ in range(dice.choice([0, 1, 1, 2])):
            current_worker().push(self.job(dice))

    def fail(self, seed):
        raise random.Random(seed).choice([ValueError, SystemExit, KeyboardInterrupt])

    def meddle(self, seed):
        self.withdraw(random.Random(seed))

    # What is true at the end

    def check(self):
        for job in self.accepted:
            assert job.leave_count == 1, describe(job)
            assert (job.phase, job.run_count) in {(DONE, 1), (WITHDRAWN, 0)}, describe(
                job
            )
            assert job.fn is job.args is job.context is None
        for storm_batch in self.batches:
            storm_batch.check()
        assert len(self.registry.injector) == 0
        assert all(len(worker.deque) == 0 for worker in self.registry._workers)
        assert not self.registry.is_everyone_asleep()
        assert not self.registry.is_anyone_idle()


def describe(job):
    return f"phase {job.phase}, runs {job.run_count}, departures {job.leave_count}"


class StormBatch:
    """A batch whose items note that they were used."""

    def __init__(self, dice):
        self.size = dice.randrange(300)
        self.failing = dice.choice([None, None, dice.randrange(300)])
        self.used = []
        self.close_count = 0
        self.token = CancelToken()
        self.batch = Batch(
            self.use,
            range(self.size),
            contextvars.Context(),
            token=self.token,
            sink=self.close,
            lane=dice.randrange(3),
        )
        self.first = self.batch.first_piece()

    def use(self, item):
        self.used.append(item)
        if item == self.failing:
            raise ValueError(item)
        return -item

    def close(self, _batch):
        self.close_count += 1

    def check(self):
        assert self.close_count == 1
        assert len(set(self.used)) == len(self.used)
        failures = [str(error) for error in self.batch.errors()]
        if self.batch.is_complete:
            assert sorted(self.used) == list(range(self.size))
            assert self.batch.results() == [-item for item in range(self.size)]
            assert failures == []
        elif self.failing in self.used:
            assert failures == [str(self.failing)]
        else:
            assert self.token.is_set or self.first.phase == WITHDRAWN


@pytest.mark.parametrize("leaf_ns", [0, 5_000])
def test_stress_storm_accounts_for_every_job_exactly_once(monkeypatch, leaf_ns):
    """Two drivers and up to four workers do all they can to each other.

    1. drivers inject, singly and many at once, in every lane, batches too;
    2. drivers and jobs withdraw what they find; jobs push, fail, raise SystemExit;
    3. the order to stop comes while most of it is still queued;
    4. each job has run once or was withdrawn, and has left the scheduler once.
    """
    monkeypatch.setattr(batch_module, "LEAF_NS", leaf_ns)
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed: {seed}")  # noqa: T201
    for number in range(STORMS):
        storm = Storm(seed + number)
        storm.run()
        storm.check()


def test_stress_single_jobs_wake_a_sleeping_pool_every_time():
    """One job at a time: each finds the workers somewhere on their way to sleep.

    A lost wake-up would leave the job, and this test, waiting.
    """
    registry = Registry(3)
    registry.start()
    try:
        for number in range(20_000):
            left = threading.Event()
            registry.inject(
                Job(
                    sum,
                    (range(number % 50),),
                    contextvars.Context(),
                    sink=lambda _job, left=left: left.set(),
                )
            )
            assert left.wait(TIMEOUT), f"job {number} was not run"
    finally:
        registry.stop()
        registry.join()


def test_stress_start_and_stop_at_once_leaves_no_thread_and_no_job():
    """Registries that are told to stop while their workers have hardly begun."""
    for number in range(500):
        registry = Registry(1 + number % 4)
        registry.start()
        runs = []
        for _ in range(number % 3):
            registry.inject(Job(runs.append, (None,), contextvars.Context()))
        registry.stop()
        for thread in registry._threads:
            thread.join(TIMEOUT)
            assert not thread.is_alive()
        assert len(runs) == number % 3
