"""`TaskCancelled.reason` tells what ended a job; errors survive pickling."""

import jobs
import pytest
import trio

import runtime
from runtime import CancelReason


async def reason_of(async_fn, *args):
    with pytest.raises(runtime.TaskCancelled) as caught:
        await async_fn(*args)
    return caught.value.reason


async def test_job_cancel_running_and_queued(single, gate):
    running = await single.submit(jobs.hold_until_cancelled, gate)
    queued = await single.submit(jobs.identity, 1)
    await gate.wait_entered()
    for job in (queued, running):
        job.cancel()
        assert await reason_of(job.wait) is CancelReason.JOB_CANCEL


async def test_the_first_reason_counts(single, gate):
    job = await single.submit(jobs.hold_until_cancelled, gate)
    await gate.wait_entered()
    job.cancel()
    await single.shutdown(0)
    assert await reason_of(job.wait) is CancelReason.JOB_CANCEL


CALLS = {
    "call": lambda pool, gate: pool.spawn_cpu_work(jobs.hold_until_cancelled, gate),
    "batch": lambda pool, gate: pool.spawn_parallel_batch(
        [gate], jobs.hold_until_cancelled
    ),
    "map": lambda pool, gate: drain_map(pool, gate),
}


async def drain_map(pool, gate):
    async with pool.map(jobs.hold_until_cancelled, [gate]) as results:
        async for _ in results:
            pass


@pytest.mark.parametrize("call", CALLS)
async def test_shutdown(single, gate, call):
    async with trio.open_nursery() as nursery:

        async def wait():
            reason = await reason_of(CALLS[call], single, gate)
            assert reason is CancelReason.SHUTDOWN

        nursery.start_soon(wait)
        await gate.wait_entered()
        await single.shutdown(0)


@pytest.mark.parametrize("call", CALLS)
async def test_block_left_early(open_pool, gate, call):
    async with trio.open_nursery() as nursery:

        async def wait():
            reason = await reason_of(CALLS[call], pool, gate)
            assert reason is CancelReason.CLOSED

        with trio.CancelScope() as scope:
            async with open_pool(1) as pool:
                nursery.start_soon(wait)
                await gate.wait_entered()
                scope.cancel()
                await trio.sleep_forever()


async def test_a_job_that_ends_itself(single):
    assert await reason_of(single.spawn_cpu_work, jobs.cancel_chunk, 1) is (
        CancelReason.ITSELF
    )
    job = await single.submit(jobs.cancel_chunk, 1)
    assert await reason_of(job.wait) is CancelReason.ITSELF


async def test_an_item_that_ends_itself(single):
    assert await reason_of(single.spawn_parallel_batch, [1, 2], jobs.cancel_chunk) is (
        CancelReason.ITEM
    )
    async with single.map(jobs.cancel_chunk, [1, 2]) as results:
        assert await reason_of(anext, results) is CancelReason.ITEM


async def test_a_reason_crosses(single):
    with pytest.raises(runtime.TaskCancelled) as caught:
        await single.spawn_cpu_work(jobs.raise_timeout)
    assert caught.value.reason is CancelReason.TIMEOUT
    assert await single.spawn_cpu_work(jobs.identity, CancelReason.ITEM) is (
        CancelReason.ITEM
    )


def test_every_reason_has_its_words():
    for reason in CancelReason:
        assert "cancelled by " in str(runtime.TaskCancelled("job", reason))
