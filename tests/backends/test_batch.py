"""Many items at once, on every backend."""

from functools import partial

import jobs
import outcome
import pytest
import trio

import runtime


@pytest.mark.parametrize("count", [0, 1, 2, 7, 1000, 20_000])
async def test_results_are_in_input_order(pool, count):
    assert await pool.spawn_parallel_batch(range(count), jobs.square) == [
        i * i for i in range(count)
    ]


async def test_any_iterable_will_do(pool):
    items = (str(i) for i in range(50))
    assert await pool.spawn_parallel_batch(items, int) == list(range(50))


async def test_failure_stops_the_rest_and_arrives_in_a_group(pool):
    with pytest.RaisesGroup(ValueError, match="1 item failed") as caught:
        await pool.spawn_parallel_batch(range(1000), partial(jobs.fail_on, 500))
    assert caught.value.exceptions[0].args == (500,)


async def test_errors_are_returned_on_demand(pool):
    results = await pool.spawn_parallel_batch(
        range(10), partial(jobs.fail_on, 3), on_error="return"
    )
    assert [type(result) for result in results] == [
        outcome.Error if i == 3 else outcome.Value for i in range(10)
    ]
    assert results[4].unwrap() == 4
    with pytest.raises(ValueError, match="3"):
        results[3].unwrap()


async def test_chunks(pool):
    assert await pool.spawn_chunked_parallel(range(10), 3, jobs.chunk_squares) == [
        i * i for i in range(10)
    ]
    with pytest.RaisesGroup(pytest.RaisesExc(ValueError, match="too_few returned 2")):
        await pool.spawn_chunked_parallel(range(3), 3, jobs.too_few)


async def test_cancelled_batch_is_withdrawn_or_stopped(pool, signals):
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(
                pool.spawn_parallel_batch,
                range(1000),
                partial(jobs.spin_item, signals.entered),
            )
            await signals.wait_entered()
            scope.cancel()
    assert scope.cancelled_caught
    assert await pool.spawn_cpu_work(jobs.add, 1, 1) == 2


async def test_failure_stops_what_runs(pool, signals):
    with pytest.RaisesGroup(ValueError):
        await pool.spawn_parallel_batch(
            range(2), partial(jobs.fail_or_spin, signals.entered)
        )


async def test_item_that_cancels_itself_ends_the_batch(pool):
    with pytest.raises(runtime.TaskCancelled, match="one of its items"):
        await pool.spawn_chunked_parallel(range(3), 1, jobs.cancel_chunk)


async def test_a_batch_that_waits_is_withdrawn(single, signals):
    job = await single.submit(jobs.hold, signals.entered, signals.opened)
    await signals.wait_entered()
    with trio.move_on_after(0) as scope:
        await single.spawn_parallel_batch(range(10), jobs.square)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(single.spawn_parallel_batch, range(10), jobs.square)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert scope.cancelled_caught
    signals.open()
    await job.wait()
    assert single.statistics().jobs_executed == 1
