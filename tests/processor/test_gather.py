"""A batch of requests whose caller is cancelled, or whose processor closes."""

from functools import partial
from operator import attrgetter

import outcome
import pytest
import trio
from helpers import cancelled_after
from trio.testing import wait_all_tasks_blocked

import runtime


@pytest.fixture(params=["execute_parallel_batch", "execute_chunked_parallel"])
def bring(request):
    return attrgetter(request.param)


async def test_cancelled_caller_waits_for_what_runs_and_withdraws_the_rest(
    single, make, gate, bring
):
    ran = []
    requests = [gate.hold, *(partial(ran.append, n) for n in range(20))]
    async with make(single, batch_size=1, max_pending_tasks=4) as processor:
        async with cancelled_after(gate.wait_entered, opens=gate) as scope:
            await bring(processor)(requests)
        assert scope.cancelled_caught
        numbers = processor.statistics()
    assert ran == []
    assert numbers.in_flight == 0
    assert numbers.processed == 1


async def test_processor_that_closes_turns_away_what_waits_for_a_place(
    single, make, gate, bring
):
    results = []

    async def call():
        batch = bring(processor)
        results.append(await outcome.acapture(batch, [gate.hold, *range(20)]))

    async with (
        trio.open_nursery() as nursery,
        make(single, batch_size=1, max_pending_tasks=4) as processor,
    ):
        nursery.start_soon(call)
        await gate.wait_entered()
        await wait_all_tasks_blocked()
        nursery.start_soon(open_when_blocked, gate)
    [result] = results
    with pytest.raises(runtime.PoolClosedError):
        result.unwrap()
    assert processor.statistics().in_flight == 0


async def test_batches_may_be_longer_than_the_requests(single, make, bring):
    async with make(single, batch_size=10**20) as processor:
        outcomes = await bring(processor)([partial(abs, -1)] * 3)
    assert outcomes == [outcome.Value(1)] * 3


async def test_more_requests_than_a_list_can_hold_are_refused(single, make, bring):
    async with make(single) as processor:
        with pytest.raises(ValueError, match="more items than a list can hold"):
            await bring(processor)(range(10**20))


async def open_when_blocked(gate):
    await wait_all_tasks_blocked()
    gate.open()
