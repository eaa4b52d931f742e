"""The ladder's last step: ``on_cancel="interrupt"``, at every way in."""

from functools import partial

import jobs
import pytest
import trio
from helpers import TIMEOUT, cancelled_after, wait_until

import runtime


@pytest.fixture
def loop(gate, calls):
    """Pure Python that never ends by itself and never asks; it notes what ends it."""
    return partial(jobs.loop, gate, calls)


async def call(pool, fn):
    await pool.spawn_cpu_work(fn, on_cancel="interrupt")


async def batch(pool, fn):
    await pool.spawn_parallel_batch(range(4), fn, on_cancel="interrupt")


async def chunked(pool, fn):
    await pool.spawn_chunked_parallel(range(4), 2, fn, on_cancel="interrupt")


async def whole_chunks(pool, fn):
    await pool.spawn_chunked_parallel(
        range(4), 2, fn, takes_chunk=True, on_cancel="interrupt"
    )


async def mapped(pool, fn):
    async with pool.map(fn, range(4), on_cancel="interrupt") as results:
        async for _ in results:
            pass


async def submitted(pool, fn):
    await (await pool.submit(fn, on_cancel="interrupt")).wait()


WAITED_FOR = [call, batch, chunked, whole_chunks, mapped]
WAYS = [*WAITED_FOR, submitted]


@pytest.mark.parametrize("way", WAITED_FOR, ids=lambda fn: fn.__name__)
async def test_interrupt_of_a_cancelled_waiter_ends_the_loop(
    pool, loop, gate, calls, way
):
    async with cancelled_after(gate.wait_entered) as scope:
        await way(pool, loop)
    assert scope.cancelled_caught
    assert set(calls) == {"JobInterrupted"}
    assert await pool.spawn_cpu_work(sum, [1, 2]) == 3


@pytest.mark.parametrize("way", WAYS, ids=lambda fn: fn.__name__)
async def test_interrupt_by_the_end_of_the_pools_block(
    loop, gate, calls, way, open_pool
):
    with trio.CancelScope() as scope:
        async with open_pool(2) as pool, trio.open_nursery() as nursery:
            nursery.start_soon(way, pool, loop)
            await gate.wait_entered()
            scope.cancel()
    assert scope.cancelled_caught
    assert set(calls) == {"JobInterrupted"}


@pytest.mark.parametrize("way", WAYS, ids=lambda fn: fn.__name__)
async def test_interrupt_by_shutdown(pool, loop, gate, calls, way, monkeypatch):
    # On a busy machine the interrupt may take a while.
    monkeypatch.setattr("runtime._frontend.shutdown.INTERRUPT_GRACE", TIMEOUT)

    async def wait_ended():
        with pytest.raises(runtime.TaskCancelled):
            await way(pool, loop)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait_ended)
        await gate.wait_entered()
        report = await pool.shutdown(0)
    assert report.still_running == ()
    assert report.cancelled >= 1
    assert set(calls) == {"JobInterrupted"}


async def test_interrupt_by_shutdown_comes_after_the_token(
    pool, gate, calls, monkeypatch
):
    # A busy machine may not let the job look at its token for a while.
    monkeypatch.setattr("runtime._frontend.shutdown.TOKEN_GRACE", TIMEOUT)
    pool.submit_nowait(jobs.ask_for_ever, gate, calls, on_cancel="interrupt")
    await gate.wait_entered()
    await pool.shutdown(0)
    assert list(calls) == ["JobCancelled"]


async def test_interrupt_by_job_cancel_again_and_again(single, make_gate, calls):
    for _ in range(3):
        gate = make_gate()
        job = await single.submit(jobs.loop, gate, calls, on_cancel="interrupt")
        await gate.wait_entered()
        job.cancel()
        job.cancel()
        with pytest.raises(runtime.TaskCancelled, match="was cancelled by"):
            await job.wait()
    assert list(calls) == ["JobInterrupted"] * 3


async def test_interrupt_is_not_used_where_it_was_not_allowed(pool, gate, make_gate):
    """Though another worker is interrupted meanwhile, so that events are on."""
    job = await pool.submit(jobs.loop_until_open, gate)
    await gate.wait_entered()
    job.cancel()
    other = make_gate()
    async with cancelled_after(other.wait_entered) as scope:
        await call(pool, partial(jobs.loop_until_open, other))
    assert scope.cancelled_caught
    gate.open()
    assert await job.wait() == "ended by itself"


async def test_interrupt_of_a_queued_job_withdraws_it(single, gate, calls):
    holding = single.submit_nowait(gate.hold)
    await gate.wait_entered()
    job = await single.submit(calls.append, 1, on_cancel="interrupt")
    job.cancel()
    gate.open()
    await holding.wait()
    assert job.state is runtime.JobState.WITHDRAWN
    assert list(calls) == []


async def test_interrupt_that_the_job_answers_with_a_value_is_not_lost(
    pool, gate, calls
):
    async with cancelled_after(gate.wait_entered) as scope:
        value = await pool.spawn_cpu_work(
            jobs.stubborn, gate, calls, on_cancel="interrupt"
        )
    assert not scope.cancelled_caught
    assert value == "my answer"
    assert pool.statistics().unreached == 0


async def test_interrupt_that_the_job_survives_counts_as_reached(
    single, make_gate, calls
):
    loops, goes_on = make_gate(), make_gate()
    job = await single.submit(
        jobs.survive, loops, calls, goes_on, on_cancel="interrupt"
    )
    await loops.wait_entered()
    job.cancel()
    await goes_on.wait_entered()
    assert single.statistics().unreached == 0
    goes_on.open()
    await job.wait()


async def test_interrupt_of_an_endless_batch_item_stops_the_others(pool, gate, calls):
    """Each worker inside the batch is reached, and no further item begins."""
    item = partial(jobs.note_and_loop, calls)

    async def both_begun():
        await wait_until(lambda: len(list(calls)) == 2)

    async with cancelled_after(both_begun) as scope:
        await pool.spawn_parallel_batch(range(100), item, on_cancel="interrupt")
    assert scope.cancelled_caught
    assert len(list(calls)) == 2


async def test_unreached_job_is_counted_and_reported(pool, gate):
    """It is inside one call of C."""
    job = pool.submit_nowait(gate.hold_in_c, name="in C", on_cancel="interrupt")
    await gate.wait_entered()
    assert pool.statistics().unreached == 0
    job.cancel()
    assert pool.statistics().unreached == 1
    report = await pool.shutdown(0)
    assert [(s.name, s.is_unreached) for s in report.still_running] == [("in C", True)]
    gate.open()


async def test_shield_in_a_job_lets_a_section_finish(single, make_gate, calls):
    for _ in range(2):
        gate = make_gate()
        job = await single.submit(jobs.shielded, gate, calls, on_cancel="interrupt")
        await gate.wait_entered()
        job.cancel()
        gate.open()
        with pytest.raises(runtime.TaskCancelled):
            await job.wait()
    assert list(calls) == ["section"] * 2


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
