"""Everything mixed, for as long as one likes, on the core in use.

``RUNTIME_SOAK_SECONDS=60`` makes each test run for a minute; unset, for two seconds.
The seed fixes what is asked for, not how the threads interleave.
"""

import contextvars
import math
import os
import random
import threading
import time

import pytest
import trio
from helpers import TIMEOUT, run_threaded

import runtime
from runtime.lowlevel import CancelToken, Job, Latch, Registry, current_worker, join

pytestmark = [pytest.mark.stress, pytest.mark.slow]

SECONDS = float(os.environ.get("RUNTIME_SOAK_SECONDS", "2"))
POSTERS = 3


@pytest.fixture
def dice():
    seed = random.randrange(1 << 32)
    print(f"seed: {seed}, core: {runtime.lowlevel.core}")  # noqa: T201  # shown when it fails
    return random.Random(seed)


def lives(dice):
    """Yield one seed after another until the time is over."""
    end = time.monotonic() + SECONDS
    yield dice.random()
    while time.monotonic() < end:
        yield dice.random()


class Entry:
    """A job, and how often it ran and left the scheduler."""

    def __init__(self, fn, *args):
        self.ran, self.left, self.is_withdrawn = [], [], False
        self.gone = Latch()
        self.token = CancelToken()
        self.job = Job(
            self._run,
            (fn, *args),
            contextvars.copy_context(),
            token=self.token,
            sink=self._leave,
        )

    def _run(self, fn, *args):
        self.ran.append(None)
        return fn(*args)

    def _leave(self, _job):
        self.left.append(None)
        self.gone.set()

    def result(self):
        assert self.gone.wait(TIMEOUT), "the job has not left the scheduler"
        return self.job.outcome.unwrap()

    def check(self):
        """Exactly one of two: it ran, or it was withdrawn; and it left once."""
        assert (len(self.ran), len(self.left)) == (0 if self.is_withdrawn else 1, 1)


class Life:
    """A registry from its start to its end, and all that was posted to it."""

    def __init__(self, seed):
        self._dice = dice = random.Random(seed)
        self._registry = Registry(
            dice.randint(1, 4),
            seed=dice.randrange(1 << 30),
            spin_rounds=dice.choice([1, 1, 60]),
        )
        self._entries = []

    def run(self):
        self._registry.start()
        seeds = [self._dice.random() for _ in range(POSTERS)]
        run_threaded(*(lambda seed=seed: self._post(seed) for seed in seeds))
        # ORDER: stop while jobs are queued; what was posted before must be run.
        self._registry.stop()
        for entry in self._entries:
            assert entry.gone.wait(TIMEOUT), "a job was left behind"
        self._registry.join()
        for entry in self._entries:
            entry.check()

    def _post(self, seed):
        dice = random.Random(seed)
        acts = [self._submit, self._fork, self._cancel, self._ask, self._fail]
        acts += [self._push_inside, self._let_go]
        for _ in range(dice.randint(1, 100)):
            dice.choice(acts)(dice)

    def _inject(self, fn, *args):
        entry = Entry(fn, *args)
        self._entries.append(entry)
        self._registry.inject(entry.job)
        return entry

    def _submit(self, dice):
        item = dice.random()
        assert self._inject(lambda: item).result() == item

    def _fork(self, dice):
        number = dice.randrange(10)
        assert self._inject(fib, number).result() == FIB[number]

    def _cancel(self, dice):
        entries = [self._inject(fib, 3) for _ in range(dice.randint(1, 5))]
        for entry in dice.sample(entries, len(entries)):
            entry.is_withdrawn = self._registry.withdraw(entry.job)
        for entry in entries:
            if not entry.is_withdrawn:
                assert entry.result() == FIB[3]

    def _ask(self, _dice):
        """Ask a running job to stop."""
        began = threading.Event()
        token = CancelToken()

        def spin():
            began.set()
            while not token.is_set:
                time.sleep(0)

        entry = self._inject(spin)
        assert began.wait(TIMEOUT)
        token.is_set = True
        assert entry.result() is None

    def _fail(self, _dice):
        with pytest.raises(ZeroDivisionError):
            self._inject(lambda: 1 / 0).result()

    def _push_inside(self, dice):
        def push(count):
            for _ in range(count):
                child = Entry(fib, 2)
                self._entries.append(child)
                current_worker().push(child.job)

        self._inject(push, dice.randint(1, 20)).result()

    def _let_go(self, dice):
        """Post without waiting: some of these meet the order to stop."""
        for _ in range(dice.randint(1, 20)):
            self._inject(fib, dice.randrange(8))


FIB = [0, 1, 1, 2, 3, 5, 8, 13, 21, 34]


def fib(number):
    if number < 2:
        return number
    return sum(join(lambda: fib(number - 1), lambda: fib(number - 2)))


def test_stress_soak_of_registries_runs_every_job_once(dice):
    """Submit, join, withdraw, ask to stop, fail and push, from three threads.

    1. a registry of one to four workers is started;
    2. three posters do a hundred of these at once, and some wait for nothing;
    3. the order to stop meets what is still queued.
    """
    count = 0
    for seed in lives(dice):
        Life(seed).run()
        count += 1
    print(f"{count} registries")  # noqa: T201  # shown when it fails


class PoolLife:
    """A worker pool from its start to its end, used by tasks that are cancelled."""

    def __init__(self, seed):
        self._dice = random.Random(seed)
        self._end = self._dice.choice(["leave", "leave", "cancel", "shutdown"])

    async def run(self):
        with trio.fail_after(TIMEOUT):  # a call that nobody wakes a worker for
            await self._live()

    async def _live(self):
        workers, capacity = self._dice.randint(1, 4), self._dice.choice([1, 5, 1000])
        with trio.CancelScope() as scope:
            async with (
                runtime.open_worker_pool(workers, queue_capacity=capacity) as pool,
                trio.open_nursery() as nursery,
            ):
                for _ in range(self._dice.randint(1, 8)):
                    nursery.start_soon(self._use, pool)
                await trio.sleep(self._dice.random() * 0.01)
                if self._end == "cancel":
                    scope.cancel()
                elif self._end == "shutdown":
                    nursery.start_soon(self._shut_down, pool)
        statistics = pool.statistics()
        assert (statistics.in_flight, statistics.queued, statistics.running) == (
            0,
            0,
            0,
        )

    async def _shut_down(self, pool):
        report = await pool.shutdown(grace=TIMEOUT)
        assert not report.still_running

    async def _use(self, pool):
        acts = [self._call, self._call_in_vain, self._batch, self._map]
        is_closed = False
        for _ in range(self._dice.randint(1, 12)):
            try:
                await self._dice.choice(acts)(pool)
            except* (runtime.PoolClosedError, runtime.TaskCancelled):
                is_closed = True
            if is_closed:
                assert self._end == "shutdown"
                return

    async def _call(self, pool):
        number = self._dice.randrange(10)
        assert await pool.spawn_cpu_work(fib, number) == FIB[number]

    async def _call_in_vain(self, pool):
        with trio.move_on_after(self._dice.random() * 0.002):
            await pool.spawn_cpu_work(wait_to_be_cancelled)

    async def _batch(self, pool):
        items = range(self._dice.randrange(200))
        assert await pool.spawn_parallel_batch(items, math.sqrt) == [
            math.sqrt(item) for item in items
        ]

    async def _map(self, pool):
        items = range(self._dice.randrange(50))
        async with pool.map(math.sqrt, items) as results:
            found = [result async for result in results]
        assert found == [math.sqrt(item) for item in items]


def wait_to_be_cancelled():
    end = time.monotonic() + TIMEOUT
    while time.monotonic() < end:
        runtime.check_cancelled()
        time.sleep(0)
    raise AssertionError("nobody cancelled the job")


def test_stress_soak_of_pools_leaves_nothing_behind(dice):
    """Calls, cancelled calls, batches and maps, from several tasks.

    1. a pool of one to four workers is opened, sometimes with room for one job only;
    2. tasks use it, and cancel some of their calls at any moment;
    3. meanwhile its block is left, cancelled, or the pool is shut down.
    """
    count = 0
    for seed in lives(dice):
        trio.run(PoolLife(seed).run)
        count += 1
    print(f"{count} pools")  # noqa: T201  # shown when it fails
