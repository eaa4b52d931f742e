"""Once work over many items is to end, nothing more of it begins.

Item `HOLD` stays inside its worker until it is told to stop, then returns as if nothing
had been. The items before it are cheap, so those after it are already at its worker.
"""

from functools import partial

import jobs
import pytest
import trio
from helpers import cancelled_after

import runtime

HOLD = 40
COUNT = 2048


@pytest.fixture
def note(calls, gate):
    """Note each item; hold at one until it is told to stop."""
    return partial(jobs.note_and_hold_until_told, calls, gate, HOLD)


async def batch(pool, note):
    await pool.spawn_parallel_batch(range(COUNT), note)


async def capturing_batch(pool, note):
    await pool.spawn_parallel_batch(range(COUNT), note, on_error="return")


async def chunked(pool, note):
    await pool.spawn_chunked_parallel(range(COUNT), COUNT, note)


async def capturing_chunked(pool, note):
    await pool.spawn_chunked_parallel(range(COUNT), 10, note, on_error="return")


async def whole_chunks(pool, note):
    note_all = partial(jobs.note_all, note)
    await pool.spawn_chunked_parallel(range(COUNT), 1, note_all, takes_chunk=True)


async def mapping(pool, note):
    async with pool.map(note, range(COUNT)) as results:
        async for _ in results:
            pass


WAYS = [batch, capturing_batch, chunked, capturing_chunked, whole_chunks, mapping]


@pytest.mark.parametrize("way", WAYS)
async def test_nothing_begins_after_a_cancellation(way, single, note, gate, calls):
    async with cancelled_after(gate.wait_entered) as scope:
        await way(single, note)
    assert scope.cancelled_caught
    assert list(calls) == list(range(HOLD + 1))


@pytest.mark.parametrize("way", WAYS)
async def test_nothing_begins_after_a_shutdown(way, single, note, gate, calls):
    async with trio.open_nursery() as nursery:
        nursery.start_soon(expect_cancelled, way, single, note)
        await gate.wait_entered()
        await single.shutdown(grace=0)
    assert list(calls) == list(range(HOLD + 1))


async def expect_cancelled(way, pool, note):
    with pytest.raises(runtime.TaskCancelled):
        await way(pool, note)


async def test_nothing_begins_once_another_item_failed(pool, note, gate, calls):
    """One worker stays at `HOLD`, so whatever the other gets lies behind that."""
    work = partial(jobs.fail_from, gate, 64, note)
    with pytest.raises(ExceptionGroup, match="failed"):
        await pool.spawn_parallel_batch(range(COUNT), work)
    assert max(calls) == HOLD


async def test_nothing_begins_once_a_map_is_left(single, note, gate, calls):
    async with single.map(note, range(COUNT), max_in_flight=COUNT):
        await gate.wait_entered()
    assert list(calls) == list(range(HOLD + 1))


async def test_nothing_begins_once_a_processors_batch_is_withdrawn(
    backend, note, gate, calls
):
    config = runtime.ParallelConfig(worker_count=1, backend=backend, batch_size=COUNT)
    async with (
        runtime.ParallelProcessor(note, config) as processor,
        cancelled_after(gate.wait_entered) as scope,
    ):
        await processor.execute_parallel_batch(range(COUNT))
    assert scope.cancelled_caught
    assert list(calls) == list(range(HOLD + 1))
