import itertools
from functools import partial

import jobs
import outcome
import pytest
import trio
import trio.testing
from helpers import cancelled_after, wait_until

import runtime


async def async_range(stop):
    for number in range(stop):
        await trio.lowlevel.checkpoint()
        yield number


async def collect(results):
    return [result async for result in results]


# Results


@pytest.mark.parametrize("source", [range, async_range])
@pytest.mark.parametrize("size", [0, 1, 2, 3000])
async def test_map_ordered_gives_results_in_input_order(pool, source, size):
    async with pool.map(jobs.double, source(size)) as results:
        assert await collect(results) == [2 * n for n in range(size)]


@pytest.mark.parametrize("max_in_flight", [1, 2, 1000])
async def test_map_any_room_gives_every_result(pool, max_in_flight):
    async with pool.map(
        jobs.double, range(500), max_in_flight=max_in_flight
    ) as results:
        assert await collect(results) == [2 * n for n in range(500)]


async def test_map_unordered_gives_every_result_once(pool):
    async with pool.map(jobs.double, range(3000), ordered=False) as results:
        assert sorted(await collect(results)) == [2 * n for n in range(3000)]


async def test_map_unordered_does_not_wait_for_a_slow_item(pool, gate):
    work = partial(jobs.hold_if_slow, gate)
    async with pool.map(work, ["slow", "quick"], ordered=False) as results:
        assert await anext(results) == "quick"
        gate.open()
        assert await anext(results) == "slow"


async def test_map_ordered_waits_for_a_slow_item(pool, gate):
    work = partial(jobs.hold_if_slow, gate)
    async with pool.map(work, ["slow", "quick"]) as results:
        with trio.move_on_after(0.01) as scope:
            await anext(results)
        assert scope.cancelled_caught
        gate.open()
        assert await collect(results) == ["slow", "quick"]


async def test_map_with_one_worker_and_in_the_inline_pool(single, inline):
    for pool in (single, inline):
        async with pool.map(jobs.double, range(200)) as results:
            assert await collect(results) == [2 * n for n in range(200)]


async def test_map_each_result_is_a_checkpoint(pool):
    async with pool.map(jobs.double, range(3)) as results:
        for _ in range(3):
            with trio.testing.assert_checkpoints():
                await anext(results)
        with trio.testing.assert_checkpoints(), pytest.raises(StopAsyncIteration):
            await anext(results)


async def test_map_context_is_the_callers_and_changes_stay_inside(pool):
    jobs.REQUEST.set("mine")
    async with pool.map(jobs.read_request, range(20)) as results:
        assert set(await collect(results)) == {"mine"}
    async with pool.map(jobs.set_request, range(20)) as results:
        await collect(results)
    assert jobs.REQUEST.get() == "mine"


# Bounded memory


@pytest.mark.parametrize("ordered", [True, False])
async def test_map_of_an_endless_source_never_pulls_ahead(pool, ordered):
    pulled = itertools.count(1)
    last = 0

    def source():
        nonlocal last
        for number in pulled:
            last = number
            yield number

    async with pool.map(
        jobs.double, source(), max_in_flight=8, ordered=ordered
    ) as results:
        handed_out = 0
        async for _ in results:
            assert last - handed_out <= 8
            handed_out += 1
            if handed_out == 2000:
                break
        await trio.testing.wait_all_tasks_blocked()
        assert last - handed_out <= 8


async def test_map_source_is_not_pulled_before_there_is_room(pool):
    await pool.spawn_cpu_work(jobs.same, "the workers are there")
    pulled = []

    def source():
        for number in itertools.count():
            pulled.append(number)
            yield number

    async with pool.map(jobs.double, source(), max_in_flight=3) as results:
        await wait_until(lambda: pool.statistics().jobs_completed > 3)
        await trio.testing.wait_all_tasks_blocked()
        assert pulled == [0, 1, 2]
        await anext(results)
        await trio.testing.wait_all_tasks_blocked()
        assert pulled == [0, 1, 2, 3]


async def test_map_item_of_a_slow_source_starts_at_once(pool):
    send, receive = trio.open_memory_channel(0)
    async with send, pool.map(jobs.double, receive) as results:
        for number in range(5):
            await send.send(number)
            assert await anext(results) == 2 * number


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("is_async", [True, False])
async def test_map_sends_a_fast_source_in_blocks(pool, ordered, is_async):
    async def numbers():
        for number in range(20_000):
            yield number

    before = pool.statistics().jobs_completed
    async with pool.map(
        jobs.double,
        numbers() if is_async else range(20_000),
        max_in_flight=1024,
        ordered=ordered,
    ) as results:
        assert len(await collect(results)) == 20_000
    assert pool.statistics().jobs_completed - before < 20_000 / 8


@pytest.mark.parametrize("is_quick", [True, False])
async def test_map_pulls_no_more_than_there_is_room(pool, is_quick):
    """Whatever the items cost, and however long the blocks have become."""
    handed_out = pulled = 0

    def count(items):
        nonlocal pulled
        for item in items:
            pulled += 1
            assert pulled - handed_out <= 100
            yield item

    numbers = list(range(5000))
    source = numbers if is_quick else count(numbers)
    async with pool.map(jobs.double, source, max_in_flight=100) as results:
        async for result in results:
            assert result == 2 * handed_out
            handed_out += 1
    assert handed_out == 5000


async def test_map_item_starts_while_the_source_and_the_consumer_wait(pool, calls):
    """After blocks have become long, too."""
    send, receive = trio.open_memory_channel(5000)
    async with send, pool.map(jobs.double, receive, max_in_flight=6000) as results:
        for number in range(5000):
            send.send_nowait(number)
        for _ in range(5000):
            await anext(results)
        done = pool.statistics().jobs_completed
        await send.send(1)
        await wait_until(lambda: pool.statistics().jobs_completed > done)
        assert await anext(results) == 2


async def test_map_async_source_lets_other_tasks_run(pool):
    ticks = []
    seen_by_source = 0

    async def source():
        nonlocal seen_by_source
        for number in range(200_000):
            if len(ticks) > 10:
                break
            yield number
        seen_by_source = len(ticks)

    async def tick():
        while True:
            ticks.append(1)
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(tick)
        async with pool.map(jobs.same, source(), max_in_flight=200_000) as results:
            await wait_until(lambda: seen_by_source)
            await anext(results)
        nursery.cancel_scope.cancel()
    assert seen_by_source > 10


async def test_map_long_sync_source_lets_other_tasks_run(pool):
    await pool.spawn_cpu_work(jobs.same, "the workers are there")
    ticks = []
    seen_by_source = 0

    def source():
        nonlocal seen_by_source
        for number in range(200_000):
            if len(ticks) > 10:
                break
            yield number
        seen_by_source = len(ticks)

    async def tick():
        while True:
            ticks.append(1)
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(tick)
        async with pool.map(jobs.double, source(), max_in_flight=200_000) as results:
            await wait_until(lambda: seen_by_source)
            await anext(results)
        nursery.cancel_scope.cancel()
    assert seen_by_source > 10


# Errors


@pytest.mark.parametrize("ordered", [True, False])
async def test_map_error_arrives_in_a_group_and_stops_the_rest(pool, ordered):
    """The items have no end, so that it ends at all says that it stopped."""
    pulled = itertools.count()
    with pytest.raises(ExceptionGroup, match="map of fail_at_3: 1 item") as info:
        async with pool.map(
            jobs.fail_at_3, pulled, max_in_flight=64, ordered=ordered
        ) as results:
            await collect(results)
    assert info.value.exceptions[0].args == (3,)
    if ordered:  # else others overtake the one that fails
        assert next(pulled) <= 3 + 64


async def test_map_error_comes_after_the_results_before_it(pool):
    seen = []
    with pytest.raises(ExceptionGroup):
        async with pool.map(jobs.fail_at_3, range(100)) as results:
            async for result in results:
                seen.append(result)  # noqa: PERF401  # needed when it raises
    assert seen == [0, 1, 2]


async def test_map_error_keeps_back_the_results_after_it(pool, gate):
    work = partial(jobs.hold_and_fail_if_bad, gate)
    seen = []

    async def open_gate():
        await wait_until(lambda: pool.statistics().jobs_executed)
        gate.open()

    with pytest.raises(ExceptionGroup):
        async with (
            pool.map(work, ["bad", "good"]) as results,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(open_gate)
            async for result in results:
                seen.append(result)  # noqa: PERF401  # needed when it raises
    assert seen == []


@pytest.mark.parametrize("on_error", ["raise", "return"])
@pytest.mark.parametrize("ordered", [True, False])
async def test_map_whose_item_asks_to_end_raises_task_cancelled(
    single, ordered, on_error
):
    """As a batch does; what comes after the item is not handed out."""
    seen = []
    with pytest.raises(runtime.TaskCancelled, match="by one of its items"):
        async with single.map(
            jobs.cancel_at_500, range(1000), ordered=ordered, on_error=on_error
        ) as results:
            async for result in results:
                seen.append(result)  # noqa: PERF401  # needed when it raises
    values = seen if on_error == "raise" else [each.unwrap() for each in seen]
    assert values == list(range(len(values)))
    assert len(values) <= 500


async def test_map_on_error_return_gives_outcomes(pool):
    async with pool.map(jobs.fail_at_3, range(6), on_error="return") as results:
        values = await collect(results)
    assert [type(value) for value in values] == [
        *[outcome.Value] * 3,
        outcome.Error,
        *[outcome.Value] * 2,
    ]
    with pytest.raises(ValueError, match="3"):
        values[3].unwrap()


@pytest.mark.parametrize("is_async", [True, False])
async def test_map_source_error_is_raised_as_it_is_after_the_results(pool, is_async):
    error = KeyError("the source's")

    def source():
        yield from range(3)
        raise error

    async def async_source():
        for number in range(3):
            yield number
        raise error

    seen = []
    with pytest.raises(KeyError) as info:
        async with pool.map(
            jobs.double, (async_source if is_async else source)()
        ) as results:
            async for result in results:
                seen.append(result)  # noqa: PERF401  # needed when it raises
    assert info.value is error
    assert seen == [0, 2, 4]


class Broken:
    """An iterable whose end is no end, or that has no beginning."""

    def __init__(self, *, begins):
        self.begins = begins
        self.numbers = iter(range(3))

    def __iter__(self):
        if not self.begins:
            raise StopAsyncIteration
        return self

    def __next__(self):
        for number in self.numbers:
            return number
        raise StopAsyncIteration


@pytest.mark.parametrize(("begins", "expected"), [(True, [0, 2, 4]), (False, [])])
async def test_map_sources_stop_async_iteration_is_not_its_end(pool, begins, expected):
    seen = []
    with pytest.raises(RuntimeError, match="source") as info:
        async with pool.map(jobs.double, Broken(begins=begins)) as results:
            async for result in results:
                seen.append(result)  # noqa: PERF401  # needed when it raises
    assert isinstance(info.value.__cause__, StopAsyncIteration)
    assert seen == expected


async def test_map_body_error_leaves_the_block_as_it_is(pool):
    with pytest.raises(KeyError, match="the body's"):
        async with pool.map(jobs.double, itertools.count()) as results:
            await anext(results)
            raise KeyError("the body's")


async def test_map_iteration_after_an_error_raises_again_or_ends(pool):
    async with pool.map(jobs.fail_at_3, [3]) as results:
        with pytest.raises(ExceptionGroup):
            await anext(results)
        with pytest.raises((ExceptionGroup, StopAsyncIteration)):
            await anext(results)


async def test_misuse_map_arguments(pool):
    async def async_fn(_item):
        pass

    with pytest.raises(TypeError, match="async_fn is async"):
        pool.map(async_fn, [])
    with pytest.raises(ValueError, match="max_in_flight must be at least 1"):
        pool.map(jobs.double, [], max_in_flight=0)
    with pytest.raises(ValueError, match="on_error must be"):
        pool.map(jobs.double, [], on_error="ignore")
    for items in (3, None):
        with pytest.raises(TypeError, match=f"something to iterate over, not {items}"):
            pool.map(jobs.double, items)
    with pytest.raises(TypeError, match=r"not where map takes it; .* pool\.map\(fn, i"):
        pool.map([1, 2], jobs.double)


# Early ends


async def test_map_left_early_withdraws_and_waits(single, gate, calls):
    work = partial(jobs.note_and_hold, calls, gate)

    async def open_when_blocked():
        await trio.testing.wait_all_tasks_blocked()
        gate.open()

    async with trio.open_nursery() as nursery, single.map(work, itertools.count()):
        await gate.wait_entered()
        nursery.start_soon(open_when_blocked)
    assert gate.is_open
    assert list(calls) == [0]
    assert single.statistics().in_flight == 0


class Sources:
    """Sources that note when their `finally` has run."""

    def __init__(self):
        self.closed = []

    def sync(self):
        try:
            yield from itertools.count()
        finally:
            self.closed.append("sync")

    __iter__ = sync

    async def asynchronous(self):
        try:
            for number in itertools.count():
                yield number
        finally:
            await trio.lowlevel.checkpoint()
            self.closed.append("async")

    async def waiting(self):
        try:
            yield 0
            await trio.sleep_forever()
        finally:
            self.closed.append("async")


async def map_one(pool, source):
    async with pool.map(jobs.double, source, max_in_flight=4) as results:
        assert await anext(results) == 0
        await trio.testing.wait_all_tasks_blocked()


async def stream_one(pool, source):
    config = runtime.ParallelConfig(max_pending_tasks=4)
    async with (
        runtime.ParallelProcessor(jobs.double, config, pool=pool) as processor,
        processor.process(source) as responses,
    ):
        assert (await anext(responses)).unwrap() == 0
        await trio.testing.wait_all_tasks_blocked()


@pytest.mark.parametrize("take_one", [map_one, stream_one])
async def test_leaving_early_closes_the_generator(pool, take_one):
    sources = Sources()
    # Kept, so that nothing but the block's end can close them.
    kept = sources.sync(), sources.asynchronous(), sources.waiting(), sources
    await take_one(pool, kept[0])
    assert sources.closed == ["sync"]
    await take_one(pool, kept[1])
    assert sources.closed == ["sync", "async"]
    await take_one(pool, kept[2])
    assert sources.closed == ["sync", "async", "async"]
    await take_one(pool, sources)
    assert sources.closed == ["sync", "async", "async", "sync"]


@pytest.mark.parametrize("take_one", [map_one, stream_one])
async def test_leaving_early_leaves_open_what_is_no_generator(pool, take_one, tmp_path):
    path = tmp_path / "numbers"
    path.write_text("0\n1\n")
    send, receive = trio.open_memory_channel(10)
    send.send_nowait(0)

    class Numbers:
        def __init__(self):
            self.file = path.open()

        def __iter__(self):
            return map(int, self.file)

    numbers = Numbers()
    await take_one(pool, numbers)
    assert not numbers.file.closed
    numbers.file.close()
    await take_one(pool, receive)
    send.send_nowait(1)
    receive.close()
    send.close()


async def test_map_body_error_leaves_with_the_source_closed(pool):
    sources = Sources()
    source = sources.asynchronous()
    with pytest.raises(KeyError, match="the body's"):
        async with pool.map(jobs.double, source) as results:
            await anext(results)
            raise KeyError("the body's")
    assert sources.closed == ["async"]


async def test_map_cancelled_tells_its_items(single, gate):
    work = partial(jobs.hold_item_until_cancelled, gate)
    async with (
        cancelled_after(gate.wait_entered) as scope,
        single.map(work, itertools.count()) as results,
    ):
        await collect(results)
    assert scope.cancelled_caught
    assert not gate.is_open


async def test_map_stopped_by_the_pool_raises_task_cancelled(gate, open_pool):
    work = partial(jobs.hold_item_until_cancelled, gate)
    async with open_pool(1) as pool, trio.open_nursery() as nursery:

        async def stop():
            await gate.wait_entered()
            await pool.shutdown(0)

        nursery.start_soon(stop)
        with pytest.raises(runtime.TaskCancelled, match=r"map of .* by shutdown\(\)"):
            async with pool.map(work, itertools.count()) as results:
                await collect(results)


async def test_map_stopped_while_it_pulls_raises_task_cancelled(gate, open_pool):
    """The item that is pulled meanwhile is refused; that is not what ended the map."""
    work = partial(jobs.hold_item_until_cancelled, gate)

    async def source():
        yield 0
        await gate.wait_entered()
        nursery.start_soon(pool.shutdown, 0)
        await wait_until(lambda: " closed," in repr(pool))
        yield 1

    async with open_pool(1) as pool, trio.open_nursery() as nursery:
        with pytest.raises(runtime.TaskCancelled, match=r"map of .* by shutdown\(\)"):
            async with pool.map(work, source()) as results:
                await collect(results)


@pytest.mark.parametrize("ordered", [True, False])
async def test_map_with_a_stuck_item_is_left_behind_by_shutdown(
    gate, ordered, open_pool
):
    """What comes back after the stream was given up must do no harm."""
    async with open_pool(2) as pool, trio.open_nursery() as nursery:

        async def stop():
            await gate.wait_entered()
            report = await pool.shutdown(0)
            assert [s.name for s in report.still_running][:1] == ["map of Gate.hold"]
            gate.open()

        nursery.start_soon(stop)
        with pytest.raises(runtime.TaskCancelled):
            async with pool.map(gate.hold, range(9), ordered=ordered) as results:
                await collect(results)
        # The stuck blocks come home while Trio still runs.
        await wait_until(lambda: pool.statistics().running == 0)
        for _ in range(5):
            await trio.testing.wait_all_tasks_blocked()


async def test_map_that_outlives_its_pools_block_ends_with_an_error(open_pool):
    send, receive = trio.open_memory_channel(0)
    errors = []

    async with trio.open_nursery() as nursery, send:
        async with open_pool(1) as pool:

            async def consume():
                with pytest.raises(runtime.PoolClosedError) as info:
                    async with pool.map(jobs.double, receive) as results:
                        await collect(results)
                errors.append(info.value)

            nursery.start_soon(consume)
            await send.send(1)
            await trio.testing.wait_all_tasks_blocked()
        await send.send(2)
    assert len(errors) == 1


async def test_map_on_a_closed_pool_is_refused(open_pool):
    async with open_pool(1) as pool:
        pass
    with pytest.raises(runtime.PoolClosedError):
        pool.map(jobs.double, [])


async def test_map_two_at_once_share_the_workers(pool):
    async def run(size):
        async with pool.map(jobs.same, range(size)) as results:
            assert await collect(results) == list(range(size))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run, 1000)
        nursery.start_soon(run, 500)
