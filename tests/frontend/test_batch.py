from collections.abc import Sequence
from functools import partial

import jobs
import outcome
import pytest
import trio
import trio.testing
from helpers import cancelled_after, wait_until

import runtime
from runtime._frontend.chunks import Chunks


class FarTooMany(Sequence):
    """More items than `len` can say."""

    def __len__(self):
        return 10**20

    def __getitem__(self, index):
        return index


# Results


@pytest.mark.parametrize("size", [0, 1, 2, 3, 1000, 20_000])
async def test_batch_returns_results_in_input_order(pool, size):
    assert await pool.spawn_parallel_batch(range(size), jobs.double) == [
        2 * n for n in range(size)
    ]


async def test_batch_calls_fn_once_for_each_item(pool, calls):
    await pool.spawn_parallel_batch(range(2000), calls.append)
    assert sorted(calls) == list(range(2000))


@pytest.mark.parametrize("make", [list, tuple, iter, set, dict.fromkeys])
async def test_batch_takes_any_iterable(pool, make):
    assert await pool.spawn_parallel_batch(make([1, 2, 3]), jobs.double) == [2, 4, 6]


async def test_batch_with_one_worker(single):
    assert (
        sum(await single.spawn_parallel_batch(range(5000), jobs.double)) == 24_995_000
    )


async def test_batch_in_the_inline_pool(inline):
    assert await inline.spawn_parallel_batch(range(100), jobs.double) == [
        2 * n for n in range(100)
    ]


async def test_batch_uses_all_workers(pool, make_gate):
    """Each item waits for the other, which one worker alone could not run."""
    gates = [make_gate(), make_gate()]
    meet = partial(jobs.meet, gates)
    assert await pool.spawn_parallel_batch(range(2), meet) == [0, 1]


async def test_batch_is_a_checkpoint(pool):
    with trio.testing.assert_checkpoints():
        await pool.spawn_parallel_batch([], jobs.double)
    with trio.testing.assert_checkpoints():
        await pool.spawn_chunked_parallel([1], 1, abs)


async def test_batch_context_is_the_callers_and_changes_stay_inside(pool):
    jobs.REQUEST.set("mine")
    assert set(await pool.spawn_parallel_batch(range(100), jobs.read_request)) == {
        "mine"
    }
    await pool.spawn_parallel_batch(range(100), jobs.set_request)
    assert jobs.REQUEST.get() == "mine"


async def test_batch_takes_one_place_however_long(open_pool):
    async with open_pool(1, queue_capacity=1) as pool:
        assert (
            len(await pool.spawn_parallel_batch(range(10_000), jobs.double)) == 10_000
        )


async def test_misuse_batch_items(pool):
    async def numbers():
        yield 1

    async def chunked(items, fn):
        await pool.spawn_chunked_parallel(items, 2, fn)

    for call in (pool.spawn_parallel_batch, chunked):
        with pytest.raises(
            TypeError, match=r"not where spawn_.* takes it; write .*pool\.spawn_"
        ):
            await call(jobs.double, [1, 2])
        with pytest.raises(
            TypeError, match=r"not None; write instead: await pool\.spa"
        ):
            await call(None, jobs.double)
        with pytest.raises(TypeError, match=r"async iterable .* instead: async with"):
            await call(numbers(), jobs.double)
    with pytest.raises(TypeError, match=r"spawn_chunked_parallel\(items, size, fn"):
        await pool.spawn_chunked_parallel([1, 2], jobs.double, 2)


# Errors


async def test_batch_single_error_arrives_in_a_group(pool):
    with pytest.raises(ExceptionGroup, match="batch of 2 x odd_fails: 1 item") as info:
        await pool.spawn_parallel_batch([0, 1], jobs.odd_fails)
    (error,) = info.value.exceptions
    assert isinstance(error, ValueError)
    assert error.args == (1,)


async def test_batch_several_errors_arrive_together_in_input_order(pool, make_gate):
    fail = partial(jobs.meet_and_fail, [make_gate(), make_gate()])
    with pytest.raises(ExceptionGroup, match="2 items failed") as info:
        await pool.spawn_parallel_batch([0, 1], fail)
    assert [error.args for error in info.value.exceptions] == [(0,), (1,)]


async def test_batch_first_failure_stops_the_rest(single):
    with pytest.raises(ExceptionGroup):
        await single.spawn_parallel_batch(range(1_000_000), partial(jobs.fail_on, 3))
    counted = await single.spawn_cpu_work(jobs.take_count)
    assert counted < 1_000_000


async def test_batch_on_error_return_gives_outcomes(pool):
    values = await pool.spawn_parallel_batch(range(4), jobs.odd_fails, "return")
    assert [type(value) for value in values] == [outcome.Value, outcome.Error] * 2
    assert [value.unwrap() for value in values[::2]] == [0, 2]
    with pytest.raises(ValueError, match="3"):
        values[3].unwrap()


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
async def test_batch_control_flow_error_arrives_in_a_group(single, kind):
    with pytest.raises(BaseExceptionGroup) as info:
        await single.spawn_parallel_batch([kind], jobs.raise_error, on_error="return")
    assert [type(error) for error in info.value.exceptions] == [kind]
    assert await single.spawn_cpu_work(jobs.double, 1) == 2


async def test_batch_whose_item_asks_to_end_raises_task_cancelled(pool):
    with pytest.raises(runtime.TaskCancelled, match="by one of its items"):
        await pool.spawn_parallel_batch(range(3), jobs.cancel_myself)


# Misuse


async def test_misuse_batch_arguments(pool):
    async def async_fn(_item):
        pass

    with pytest.raises(TypeError, match="async_fn is async"):
        await pool.spawn_parallel_batch([1], async_fn)
    with pytest.raises(ValueError, match="on_error must be 'raise' or 'return'"):
        await pool.spawn_parallel_batch([1], jobs.double, "skip")
    with pytest.raises(ValueError, match="on_error must be 'raise' or 'return'"):
        await pool.spawn_chunked_parallel([1], 1, jobs.double, "skip")
    with pytest.raises(TypeError, match="priority must be"):
        await pool.spawn_parallel_batch([1], jobs.double, priority=1)
    for many in (range(10**20), FarTooMany()):
        with pytest.raises(ValueError, match="more items than a list can hold"):
            await pool.spawn_parallel_batch(many, jobs.double)
    with pytest.raises(ValueError, match="chunk_size must be at least 1, not 0"):
        await pool.spawn_chunked_parallel([1], 0, abs)
    with pytest.raises(TypeError, match="chunk_size must be an int"):
        await pool.spawn_chunked_parallel([1], 1.5, abs)


@pytest.mark.parametrize("verb", ["spawn_parallel_batch", "spawn_chunked_parallel"])
async def test_batch_items_that_cannot_be_listed_take_no_place(verb, open_pool):
    def broken():
        yield 1
        raise ValueError("no more")

    async with open_pool(1, queue_capacity=1) as pool:
        arguments = (jobs.double,) if verb == "spawn_parallel_batch" else (2, list)
        for _ in range(3):  # more than there are places
            with pytest.raises(ValueError, match="no more"):
                await getattr(pool, verb)(broken(), *arguments)
        assert await pool.spawn_cpu_work(jobs.double, 1) == 2


# Cancellation


async def test_cancel_queued_batch_calls_nothing(held, gate, calls):
    with trio.move_on_after(0.001) as scope:
        await held.spawn_parallel_batch(range(10), calls.append)
    assert scope.cancelled_caught
    gate.open()
    await wait_until(lambda: held.statistics().in_flight == 0)
    assert list(calls) == []
    assert held.statistics().jobs_withdrawn == 1


async def test_cancel_running_batch_stops_and_waits(single, gate, calls):
    work = partial(jobs.note_and_hold, calls, gate)
    async with cancelled_after(gate.wait_entered, opens=gate) as scope:
        await single.spawn_parallel_batch(range(1000), work)
    assert scope.cancelled_caught
    assert len(list(calls)) < 1000


async def test_cancel_batch_at_its_last_item_returns_the_results(single, gate):
    async with cancelled_after(gate.wait_entered, opens=gate) as scope:
        assert await single.spawn_parallel_batch(["last"], gate.hold) == ["last"]
    assert not scope.cancelled_caught


async def test_cancel_reaches_check_cancelled_in_a_batch(single, gate):
    async with cancelled_after(gate.wait_entered) as scope:
        await single.spawn_parallel_batch([runtime.check_cancelled], gate.hold_while)
    assert scope.cancelled_caught


async def test_cancel_reaches_every_worker_of_a_batch(pool, make_gate):
    gates = [make_gate(), make_gate()]

    async def all_entered():
        for gate in gates:
            await gate.wait_entered()

    async with cancelled_after(all_entered) as scope:
        await pool.spawn_parallel_batch(gates, jobs.hold_until_cancelled)
    assert scope.cancelled_caught


async def test_batch_failure_stops_what_runs(pool, gate):
    """One item goes on until it is cancelled, the other fails once that runs."""
    fail_or_hold = partial(jobs.fail_or_hold, gate)
    with pytest.RaisesGroup(ValueError):
        await pool.spawn_parallel_batch(range(2), fail_or_hold)
    assert not gate.is_open


# Chunks


SIZES = [0, 1, 9, 10, 11, 1000]


@pytest.mark.parametrize("size", SIZES)
async def test_chunked_calls_fn_for_each_item(pool, size):
    results = await pool.spawn_chunked_parallel(range(size), 10, jobs.square)
    assert results == [n * n for n in range(size)]


async def test_chunk_is_what_a_worker_takes_at_once(pool, calls, gate):
    """Its item 0 holds a worker; the other one leaves what belongs to that chunk."""
    note = partial(jobs.hold_first_and_note, gate, calls)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pool.spawn_chunked_parallel, range(1000), 10, note)
        await gate.wait_entered()
        await wait_until(lambda: len(list(calls)) == 990)
        assert sorted(calls) == list(range(10, 1000))
        gate.open()
    assert list(calls)[990:] == list(range(10))


@pytest.mark.parametrize("takes_chunk", [False, True])
@pytest.mark.parametrize("chunk_size", [7, 10**20])
async def test_chunk_may_be_longer_than_the_items(pool, takes_chunk, chunk_size):
    fn = jobs.chunk_squares if takes_chunk else jobs.square
    assert await pool.spawn_chunked_parallel(
        range(5), chunk_size, fn, takes_chunk=takes_chunk
    ) == [0, 1, 4, 9, 16]


async def test_chunked_in_the_inline_pool(inline):
    assert await inline.spawn_chunked_parallel(range(25), 10, jobs.double) == [
        2 * n for n in range(25)
    ]


async def test_chunked_error_is_the_items(pool):
    with pytest.raises(
        ExceptionGroup, match="batch of 5 x odd_fails: 1 item failed"
    ) as info:
        await pool.spawn_chunked_parallel([0, 2, 4, 5, 6], 2, jobs.odd_fails)
    assert [error.args for error in info.value.exceptions] == [(5,)]


async def test_chunked_on_error_return_gives_outcomes(pool):
    values = await pool.spawn_chunked_parallel(range(5), 2, jobs.odd_fails, "return")
    assert [value.unwrap() for value in values[::2]] == [0, 2, 4]
    for index in (1, 3):
        with pytest.raises(ValueError, match=str(index)):
            values[index].unwrap()


@pytest.mark.parametrize("size", SIZES)
async def test_whole_chunks_return_a_flat_list_in_input_order(pool, calls, size):
    double_all = partial(jobs.double_all, calls)
    results = await pool.spawn_chunked_parallel(
        range(size), 10, double_all, takes_chunk=True
    )
    assert results == [2 * n for n in range(size)]
    lengths = sorted(calls)
    assert all(length == 10 for length in lengths[1:])
    assert sum(lengths) == size


@pytest.mark.parametrize(("returned", "number"), [([], 0), ([1, 2, 3], 3)])
async def test_whole_chunk_wrong_number_of_results_is_an_error(pool, returned, number):
    give = partial(jobs.give, returned)
    with pytest.raises(ExceptionGroup) as info:
        await pool.spawn_chunked_parallel([1, 2], 2, give, takes_chunk=True)
    (error,) = info.value.exceptions
    assert f"returned {number} results for 2 items" in str(error)


async def test_whole_chunk_error_arrives_in_a_group(pool):
    with pytest.raises(ExceptionGroup, match="1 item failed") as info:
        await pool.spawn_chunked_parallel([1, 2], 5, jobs.fail, takes_chunk=True)
    assert info.value.exceptions[0].args == ([1, 2],)


async def test_whole_chunk_error_is_that_of_each_of_its_items(pool):
    each = partial(jobs.each, jobs.fail_at_3)
    values = await pool.spawn_chunked_parallel(
        range(5), 2, each, on_error="return", takes_chunk=True
    )
    assert [values[index].unwrap() for index in (0, 1, 4)] == [0, 1, 4]
    for value in values[2:4]:
        with pytest.raises(ValueError, match="3"):
            value.unwrap()


def test_chunks_can_be_sliced():
    chunks = Chunks(range(10), 4)
    assert len(chunks) == 3
    assert list(chunks) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert chunks[1:] == [[4, 5, 6, 7], [8, 9]]
