"""``on_cancel="interrupt"`` ends what never asks, on every backend."""

import os
import select
from functools import partial

import jobs
import pytest
import trio
from helpers import wait_until

import runtime


async def call(pool, fn):
    await pool.spawn_cpu_work(fn, on_cancel="interrupt")


async def batch(pool, fn):
    item = partial(jobs.loop_item, *fn.args)
    await pool.spawn_parallel_batch(range(4), item, on_cancel="interrupt")


async def mapped(pool, fn):
    item = partial(jobs.loop_item, *fn.args)
    async with pool.map(item, range(4), on_cancel="interrupt") as results:
        async for _ in results:
            pass


@pytest.fixture
def ended(signals):
    """Return a pipe's end, and a function that reads what was written there."""
    read, write = os.pipe()

    def what_was_written():
        written = b""
        while select.select([read], [], [], 0)[0]:
            written += os.read(read, 100)
        return written.decode()

    yield write, what_was_written
    os.close(read)
    os.close(write)


@pytest.mark.parametrize("way", [call, batch, mapped], ids=lambda fn: fn.__name__)
async def test_a_cancelled_waiter_ends_the_loop(pool, signals, ended, way):
    write, what_was_written = ended
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            loop = partial(jobs.loop, signals.entered, write)
            nursery.start_soon(way, pool, loop)
            await signals.wait_entered()
            scope.cancel()
    assert scope.cancelled_caught
    assert set(what_was_written()) == {"d"}  # JobInterrupted
    assert await pool.spawn_cpu_work(jobs.add, 1, 2) == 3


async def test_job_cancel_ends_the_loop_again_and_again(single, signals, ended):
    write, what_was_written = ended
    for _ in range(3):
        job = await single.submit(
            jobs.loop, signals.entered, write, on_cancel="interrupt"
        )
        await signals.wait_entered()
        job.cancel()
        with pytest.raises(runtime.TaskCancelled, match="was cancelled by"):
            await job.wait()
    assert what_was_written() == "ddd"


async def test_an_interrupt_that_is_caught_ends_nothing(single, signals, ended):
    job = await single.submit(
        jobs.stubborn, signals.entered, ended[0], on_cancel="interrupt"
    )
    await signals.wait_entered()
    job.cancel()
    assert await job.wait() == "my answer"
    assert single.statistics().unreached == 0


async def test_a_shield_lets_a_section_finish(single, signals, ended):
    write, what_was_written = ended
    arguments = (signals.entered, signals.opened, write)
    for _ in range(2):
        job = await single.submit(jobs.shielded, *arguments, on_cancel="interrupt")
        await signals.wait_entered()
        job.cancel()
        signals.open()
        with pytest.raises(runtime.TaskCancelled):
            await job.wait()
    assert what_was_written() == "ss"


async def test_a_shutdown_reaches_what_may_be_interrupted(pool, signals, ended):
    job = await pool.submit(jobs.loop, signals.entered, ended[0], on_cancel="interrupt")
    await signals.wait_entered()
    report = await pool.shutdown(0)
    assert (report.cancelled, report.still_running) == (1, ())
    with pytest.raises(runtime.TaskCancelled):
        await job.wait()


async def test_one_long_call_of_c_is_reported_as_unreached(single, signals):
    job = await single.submit(os.read, signals.opened, 1, on_cancel="interrupt")
    await wait_until(lambda: single.statistics().running == 1)
    assert single.statistics().unreached == 0
    job.cancel()
    assert single.statistics().unreached == 1
    report = await single.shutdown(0)
    assert [s.is_unreached for s in report.still_running] == [True]
    signals.open()


async def test_what_runs_after_the_call_is_not_interrupted(interpreters, ended):
    """Between threads the result is its receiver's, and nothing runs there."""
    write, what_was_written = ended
    async with runtime.open_worker_pool(1, backend="interpreters") as pool:
        for _ in range(20):
            job = await pool.submit(jobs.finish, write, on_cancel="interrupt")
            await trio.lowlevel.checkpoint()
            job.cancel()
            try:
                assert await job.wait() == 7
            except runtime.TaskCancelled:
                pass
        assert await pool.spawn_cpu_work(jobs.add, 1, 1) == 2
    assert set(what_was_written()) <= {"d"}


async def test_a_caught_interrupt_counts_as_reached(single, signals, ended):
    arguments = (signals.entered, ended[0], signals.opened)
    job = await single.submit(jobs.go_on, *arguments, on_cancel="interrupt")
    await signals.wait_entered()
    job.cancel()
    await signals.wait_entered()
    assert single.statistics().unreached == 0
    signals.open()
    await job.wait()
