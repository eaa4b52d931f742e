"""Every way to end a job, at once, on real workers, with a printed seed.

The seed fixes what is asked for, not how the threads interleave: a failure may need
several runs to come back. ``RUNTIME_STORM_JOBS`` sets how many jobs there are: a few
by default, 100,000 before a release.
"""

import gc
import os
import random
import sys
import threading

import pytest
import trio
from helpers import TIMEOUT

import runtime

pytestmark = [pytest.mark.stress, pytest.mark.slow]

JOBS = int(os.environ.get("RUNTIME_STORM_JOBS", "2000"))
INTERRUPTS = int(os.environ.get("RUNTIME_STORM_INTERRUPTS", "200"))
JOBS_PER_POOL = 100
DRIVERS = 4


@pytest.fixture
def restless():
    """With a GIL, threads take turns as often as they can."""
    before = sys.getswitchinterval()
    if sys._is_gil_enabled():
        sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


# What jobs do. Each takes the lock of its witness; the endless ones are interrupted.


def one_line(lock):
    n = 0
    while True:
        with lock: n += 1  # fmt: skip # noqa: E701


def two_lines(lock):
    n = 0
    while True:
        with lock:
            n += 1


def around(lock):
    with lock:
        while True:
            pass


def nested(lock):
    inner = threading.Lock()
    while True:
        with inner, lock:
            sorted([3, 1, 2], key=lambda n: -n)


def try_finally(lock):
    n = 0
    while True:
        lock.acquire()
        try:
            n += 1
        finally:
            lock.release()


def early_exits(lock):
    def once(k):
        for n in range(3):
            with lock:
                if n < k:
                    continue
                return n
        return k

    k = 0
    while True:
        k = (k + once(k)) % 3


def managed(lock):
    class Managed:
        def __enter__(self):
            lock.acquire()
            self.steps = [1, 2]

        def __exit__(self, *error):
            self.steps.clear()
            lock.release()

    while True:
        with Managed():
            pass


def shielded(lock):
    while True:
        with runtime.uninterruptible():
            lock.acquire()
            sum(n for n in range(5))
            lock.release()


def in_a_key(lock):
    def key(n):
        with lock:
            return -n

    while True:
        sorted(range(50), key=key)


def asking(lock):
    while True:
        with lock:
            runtime.check_cancelled()


def quick(lock):
    with lock:
        return sum(range(50))


def longer(lock):
    n = 0
    for _ in range(3_000):
        with lock:
            n += 1
    return n


def failing(lock):
    with lock:
        raise random.choice([ValueError, SystemExit])


ENDLESS = [
    one_line,
    two_lines,
    around,
    nested,
    try_finally,
    early_exits,
    managed,
    shielded,
    in_a_key,
]
ENDING = [quick, longer, failing]


class Witness:
    """What one job saw."""

    def __init__(self, shape, *, may_interrupt):
        self.shape = shape
        self.may_interrupt = may_interrupt
        self.was_cancelled = False
        self.lock = threading.Lock()
        self.begun = 0
        self.ended = 0
        self.errors = []

    def run(self, *_item):
        self.begun += 1
        try:
            return self.shape(self.lock)
        except BaseException as error:
            self.errors.append(type(error))
            raise
        finally:
            with runtime.uninterruptible():
                self.ended += 1

    def check(self, *, may_have_been_cancelled):
        about = f"{self.shape.__name__}: {vars(self)}"
        assert self.begun == self.ended <= 1, about
        assert len(self.errors) <= self.begun, about
        assert not self.lock.locked(), about
        if runtime.JobInterrupted in self.errors:
            assert self.may_interrupt, about
            assert self.was_cancelled or may_have_been_cancelled, about
        elif self.shape in ENDLESS and self.begun:
            raise AssertionError(f"it never ends by itself: {about}")


class Storm:
    """One pool, what was asked of it, and what is true at the end."""

    def __init__(self, dice):
        self.dice = dice
        self.witnesses = []
        self.is_closing = False

    def witness(self):
        dice = self.dice
        may_interrupt = dice.random() < 0.3
        if may_interrupt:
            shape = dice.choice([*ENDLESS, asking, *ENDING])
        else:
            shape = dice.choice([asking, *ENDING, *ENDING])
        found = Witness(shape, may_interrupt=may_interrupt)
        self.witnesses.append(found)
        return found

    async def run_within_limits(self):
        with trio.fail_after(4 * TIMEOUT):
            await self.run()

    async def run(self):
        how = self.dice.choice(["leave", "leave", "cancel", "shutdown"])
        worker_count = self.dice.randint(1, 3)
        with self.expected_errors(), trio.CancelScope() as scope:
            async with runtime.open_worker_pool(worker_count) as pool:
                async with trio.open_nursery() as nursery:
                    for _ in range(DRIVERS):
                        nursery.start_soon(self.drive, pool)
                    while how != "leave" and len(self.witnesses) < JOBS_PER_POOL // 2:
                        await trio.lowlevel.checkpoint()
                    self.is_closing = how != "leave"
                    if how == "cancel":
                        scope.cancel()
                    elif how == "shutdown":
                        await pool.shutdown(0)
                if how == "leave":
                    assert await pool.spawn_cpu_work(sum, [1, 2]) == 3
        statistics = pool.statistics()
        assert statistics.in_flight == 0
        # Who was left behind by a shutdown is interrupted even so.
        while any(witness.begun != witness.ended for witness in self.witnesses):
            await trio.lowlevel.checkpoint()
        gc.collect()
        for witness in self.witnesses:
            witness.check(may_have_been_cancelled=self.is_closing)

    async def drive(self, pool):
        acts = [self.call, self.call, self.submit, self.batch]
        try:
            while len(self.witnesses) < JOBS_PER_POOL:
                await self.dice.choice(acts)(pool, self.witness())
        except runtime.PoolClosedError:
            assert self.is_closing

    async def call(self, pool, witness):
        on_cancel = "interrupt" if witness.may_interrupt else "wait"
        with self.expected_errors():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.cancel_later, witness, nursery.cancel_scope)
                if self.dice.random() < 0.2:
                    nursery.cancel_scope.deadline = trio.current_time()
                    witness.was_cancelled = True
                await pool.spawn_cpu_work(witness.run, on_cancel=on_cancel)
                nursery.cancel_scope.cancel()

    async def submit(self, pool, witness):
        on_cancel = "interrupt" if witness.may_interrupt else "wait"
        job = await pool.submit(witness.run, on_cancel=on_cancel)
        await self.wait_a_while(witness)
        witness.was_cancelled = True
        job.cancel()
        with self.expected_errors():
            await job.wait()

    async def batch(self, pool, witness):
        on_cancel = "interrupt" if witness.may_interrupt else "wait"
        with self.expected_errors():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.cancel_later, witness, nursery.cancel_scope)
                await pool.spawn_parallel_batch([0], witness.run, on_cancel=on_cancel)
                nursery.cancel_scope.cancel()

    async def cancel_later(self, witness, scope):
        await self.wait_a_while(witness)
        witness.was_cancelled = True
        scope.cancel()

    async def wait_a_while(self, witness):
        """Some ticks, or until the job runs: both sides of its claim are met."""
        ticks = self.dice.choice([0, 1, 3, 10, 1_000_000])
        while ticks and not witness.begun:
            ticks -= 1
            await trio.lowlevel.checkpoint()
        for _ in range(self.dice.choice([0, 0, 1, 5, 50])):
            await trio.lowlevel.checkpoint()

    @staticmethod
    def expected_errors():
        """Swallow what a job may end with; a closed pool goes on."""
        return _Swallow()


class _Swallow:
    def __enter__(self):
        pass

    def __exit__(self, error_type, error, traceback):
        if error is None:
            return False
        found = list(leaves(error))
        if any(isinstance(e, runtime.PoolClosedError) for e in found):
            raise found[0] from None
        return all(
            isinstance(e, ValueError | SystemExit | runtime.TaskCancelled)
            for e in found
        )


def leaves(error):
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from leaves(inner)
    else:
        yield error


def test_stress_cancel_storm_accounts_for_every_job(restless):
    """Calls, submissions and batches are cancelled before, while and after they run.

    1. four drivers have jobs run that take a lock, most of them for ever;
    2. scopes, deadlines, Job.cancel, the pool's block and shutdown end them;
    3. each job began at most once and ended as often as it began; only who was to be
       interrupted was; no lock is held; the pool still works.
    """
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed: {seed}")  # noqa: T201
    dice = random.Random(seed)
    total = interrupted = 0
    while total < JOBS:
        storm = Storm(dice)
        trio.run(storm.run_within_limits)
        total += len(storm.witnesses)
        interrupted += sum(
            runtime.JobInterrupted in witness.errors for witness in storm.witnesses
        )
    print(f"{total} jobs, {interrupted} interrupted")  # noqa: T201
    assert interrupted > total // 50


async def interrupt_in_turn(pool, dice, count):
    """Have endless jobs interrupted one after the other."""
    for _ in range(count):
        witness = Witness(dice.choice(ENDLESS), may_interrupt=True)
        with trio.fail_after(TIMEOUT):
            job = await pool.submit(witness.run, on_cancel="interrupt")
            while not witness.begun:
                await trio.lowlevel.checkpoint()
            for _ in range(dice.choice([0, 1, 10])):
                await trio.lowlevel.checkpoint()
            witness.was_cancelled = True
            job.cancel()
            with pytest.raises(runtime.TaskCancelled):
                await job.wait()
        witness.check(may_have_been_cancelled=False)
        assert witness.errors == [runtime.JobInterrupted]


async def interrupt_two_at_a_time(seed):
    dice = random.Random(seed)
    async with runtime.open_worker_pool(2) as pool:
        async with trio.open_nursery() as nursery:
            for _ in range(2):
                nursery.start_soon(interrupt_in_turn, pool, dice, INTERRUPTS // 2)
        assert await pool.spawn_cpu_work(sum, [1, 2]) == 3


def test_stress_interrupts_reach_each_its_job():
    """Two workers, each with a job that is interrupted while the other's goes on.

    No interrupt goes astray: each job has its own, not before it was asked for, and
    leaves no lock held. ``RUNTIME_STORM_INTERRUPTS`` sets how many there are.
    """
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed: {seed}")  # noqa: T201
    trio.run(interrupt_two_at_a_time, seed)
