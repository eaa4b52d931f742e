"""The ladder's last step: ``on_cancel="interrupt"``, at every way in."""

import threading

import pytest
import trio
from helpers import TIMEOUT, wait_until

import runtime

pytestmark = pytest.mark.threads_only("uses what cannot cross")


class Loop:
    """Pure Python that never ends by itself and never asks."""

    def __init__(self):
        self.entered = threading.Event()
        self.ended_by = []

    def run(self, *_ignored):
        self.entered.set()
        try:
            while True:
                pass
        except BaseException as error:
            self.ended_by.append(type(error))
            raise

    async def wait_entered(self):
        assert await trio.to_thread.run_sync(self.entered.wait, TIMEOUT)


@pytest.fixture
def loop():
    return Loop()


async def call(pool, fn):
    await pool.spawn_cpu_work(fn, on_cancel="interrupt")


async def batch(pool, fn):
    await pool.spawn_parallel_batch(range(4), fn, on_cancel="interrupt")


async def chunked(pool, fn):
    await pool.spawn_chunked_parallel(range(4), 2, fn, on_cancel="interrupt")


async def mapped(pool, fn):
    async with pool.map(fn, range(4), on_cancel="interrupt") as results:
        async for _ in results:
            pass


async def submitted(pool, fn):
    await (await pool.submit(fn, on_cancel="interrupt")).wait()


WAITED_FOR = [call, batch, chunked, mapped]
WAYS = [*WAITED_FOR, submitted]


@pytest.mark.parametrize("way", WAITED_FOR, ids=lambda fn: fn.__name__)
async def test_interrupt_of_a_cancelled_waiter_ends_the_loop(pool, loop, way):
    async def cancel():
        await loop.wait_entered()
        scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(cancel)
        with trio.CancelScope() as scope:
            await way(pool, loop.run)
    assert scope.cancelled_caught
    assert set(loop.ended_by) == {runtime.JobInterrupted}
    assert await pool.spawn_cpu_work(sum, [1, 2]) == 3


@pytest.mark.parametrize("way", WAYS, ids=lambda fn: fn.__name__)
async def test_interrupt_by_the_end_of_the_pools_block(loop, way):
    with trio.CancelScope() as scope:
        async with runtime.open_worker_pool(2) as pool, trio.open_nursery() as nursery:
            nursery.start_soon(way, pool, loop.run)
            await loop.wait_entered()
            scope.cancel()
    assert scope.cancelled_caught
    assert set(loop.ended_by) == {runtime.JobInterrupted}


@pytest.mark.parametrize("way", WAYS, ids=lambda fn: fn.__name__)
async def test_interrupt_by_shutdown(pool, loop, way):
    async def wait_ended():
        with pytest.raises(runtime.TaskCancelled):
            await way(pool, loop.run)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait_ended)
        await loop.wait_entered()
        report = await pool.shutdown(0)
    assert report.still_running == ()
    assert report.cancelled >= 1
    assert set(loop.ended_by) == {runtime.JobInterrupted}


async def test_interrupt_by_shutdown_comes_after_the_token(pool, loop):
    def work():
        loop.entered.set()
        while True:
            runtime.check_cancelled()

    job = pool.submit_nowait(work, on_cancel="interrupt")
    await loop.wait_entered()
    await pool.shutdown(0)
    assert type(job._submission.outcome.error) is runtime.JobCancelled


async def test_interrupt_by_job_cancel(pool, loop):
    job = await pool.submit(loop.run, on_cancel="interrupt")
    await loop.wait_entered()
    job.cancel()
    job.cancel()
    with pytest.raises(runtime.TaskCancelled, match="was cancelled by"):
        await job.wait()
    assert loop.ended_by == [runtime.JobInterrupted]


async def test_interrupt_is_not_used_where_it_was_not_allowed(pool, loop):
    stop = []

    def until_stopped():
        loop.entered.set()
        while not stop:
            pass
        return "ended by itself"

    job = await pool.submit(until_stopped)
    await loop.wait_entered()
    job.cancel()
    other = Loop()
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(call, pool, other.run)
            await other.wait_entered()
            scope.cancel()  # so events were on
    stop.append(True)
    assert await job.wait() == "ended by itself"


async def test_interrupt_of_a_queued_job_withdraws_it(single, gate):
    calls = []
    holding = single.submit_nowait(gate.hold)
    await gate.wait_entered()
    job = await single.submit(calls.append, 1, on_cancel="interrupt")
    job.cancel()
    gate.open()
    await holding.wait()
    assert job.state is runtime.JobState.WITHDRAWN
    assert calls == []


async def test_interrupt_that_the_job_answers_with_a_value_is_not_lost(pool, loop):
    def stubborn():
        try:
            loop.run()
        except runtime.JobInterrupted:
            return "my answer"

    async def cancel():
        await loop.wait_entered()
        scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(cancel)
        with trio.CancelScope() as scope:
            assert (
                await pool.spawn_cpu_work(stubborn, on_cancel="interrupt")
                == "my answer"
            )


async def test_interrupt_of_an_endless_batch_item_stops_the_others(pool, loop):
    """Each worker inside the batch is reached, and no further item begins."""
    begun = []

    def item(number):
        begun.append(number)
        if len(begun) >= 2:
            loop.entered.set()
        while True:
            pass

    async def cancel():
        await loop.wait_entered()
        scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(cancel)
        with trio.CancelScope() as scope:
            await pool.spawn_parallel_batch(range(100), item, on_cancel="interrupt")
    assert scope.cancelled_caught
    assert len(begun) == 2


async def test_unreached_job_is_counted_and_reported(pool, gate):
    pool.submit_nowait(gate.passes, TIMEOUT, name="stuck", on_cancel="interrupt")
    await wait_until(lambda: pool.statistics().running == 1)
    assert pool.statistics().unreached == 0
    lock = threading.Lock()
    lock.acquire()
    job = pool.submit_nowait(lock.acquire, name="in C", on_cancel="interrupt")
    await wait_until(lambda: pool.statistics().running == 2)
    job.cancel()
    assert pool.statistics().unreached == 1
    report = await pool.shutdown(0)
    lock.release()
    gate.open()
    names = {s.name: s.is_unreached for s in report.still_running}
    assert names["in C"]


async def test_shield_in_a_job_lets_a_section_finish(pool, loop):
    steps = []
    go_on = threading.Event()

    def work():
        with runtime.uninterruptible():
            loop.entered.set()
            while not go_on.is_set():
                pass
            steps.append("section")
        steps.append("rest")

    job = await pool.submit(work, on_cancel="interrupt")
    await loop.wait_entered()
    job.cancel()
    go_on.set()
    with pytest.raises(runtime.TaskCancelled):
        await job.wait()
    assert steps == ["section"]


@pytest.mark.parametrize("way", ["spawn_parallel_batch", "submit", "submit_nowait"])
async def test_misuse_on_cancel_of_many_names_the_choices(pool, way):
    args = ([], abs) if way == "spawn_parallel_batch" else (abs, 1)
    with pytest.raises(ValueError, match="must be 'wait' or 'interrupt'"):
        result = getattr(pool, way)(*args, on_cancel="abandon")
        await result


async def test_withdrawn_calls_behind_a_stuck_worker_leave_nothing(single, gate):
    """Memory stays flat: an entry that is withdrawn leaves the queue soon."""
    holding = single.submit_nowait(gate.hold)
    await gate.wait_entered()
    soon = trio.lowlevel.current_trio_token().run_sync_soon
    for number in range(1, 5_001):
        with trio.CancelScope() as scope:
            soon(scope.cancel)  # when the call is queued
            await single.spawn_cpu_work(abs, 1)
        statistics = single.statistics()
        assert statistics.queued <= 2
        assert statistics.jobs_withdrawn + statistics.in_flight == number + 1
        assert statistics.in_flight <= 3
    gate.open()
    await holding.wait()
