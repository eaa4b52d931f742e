"""Streams of items, on every backend."""

from functools import partial

import jobs
import outcome
import pytest

import runtime


async def collect(results):
    return [result async for result in results]


@pytest.mark.parametrize("count", [0, 1, 500])
async def test_results_are_in_input_order(pool, count):
    async with pool.map(jobs.square, range(count)) as results:
        assert await collect(results) == [i * i for i in range(count)]


async def test_as_completed(pool):
    async with pool.map(jobs.square, range(100), ordered=False) as results:
        assert sorted(await collect(results)) == [i * i for i in range(100)]


async def test_results_before_a_failure_come_first(pool):
    seen = []
    with pytest.RaisesGroup(ValueError, match="1 item failed"):
        async with pool.map(partial(jobs.fail_on, 50), range(100)) as results:
            async for result in results:
                seen += [result]
    assert seen == list(range(50))


async def test_errors_are_returned_on_demand(pool):
    async with pool.map(
        partial(jobs.fail_on, 3), range(6), on_error="return"
    ) as results:
        kinds = [type(result) async for result in results]
    assert kinds == [outcome.Error if i == 3 else outcome.Value for i in range(6)]


async def test_leaving_early_ends_it(pool, signals):
    async with pool.map(
        partial(jobs.spin_item, signals.entered), range(100), ordered=False
    ):
        await signals.wait_entered()
    assert pool.statistics().in_flight == 0


async def test_what_cannot_cross_ends_the_iteration(interpreters):
    async with runtime.open_worker_pool(1, backend="interpreters") as pool:
        with pytest.RaisesGroup(runtime.CrossingError):
            async with pool.map(lambda x: x, range(1)) as results:
                await collect(results)
