"""A stream of requests: order, bounds, errors, and leaving early."""

import itertools

import outcome
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import runtime


def fail():
    raise KeyError("no")


async def numbers(count):
    for i in range(count):
        await trio.lowlevel.checkpoint()
        yield i


@pytest.mark.parametrize("source", [range, numbers])
async def test_ordered_stream_answers_in_input_order(pool, make, source):
    async with (
        make(pool, max_pending_tasks=20, batch_size=3) as processor,
        processor.process(source(200)) as responses,
    ):
        assert [r.unwrap() async for r in responses] == list(range(200))


async def test_unordered_stream_answers_each_once(pool, make):
    async with (
        make(pool, batch_size=3) as processor,
        processor.process(range(200), ordered=False) as responses,
    ):
        assert sorted([r.unwrap() async for r in responses]) == list(range(200))


async def test_unordered_stream_does_not_wait_for_the_slowest(pool, make, gate):
    async with (
        make(pool, batch_size=1) as processor,
        processor.process([gate.hold, 1, 2], ordered=False) as responses,
    ):
        assert (await anext(responses)).unwrap() == 1
        assert (await anext(responses)).unwrap() == 2
        gate.open()
        assert (await anext(responses)).unwrap() is None
        with pytest.raises(StopAsyncIteration):
            await anext(responses)


async def test_stream_from_one_channel_into_another(pool, make):
    send_requests, requests = trio.open_memory_channel(5)
    send_responses, responses = trio.open_memory_channel(0)

    async def bring():
        async with send_requests:
            for i in range(50):
                await send_requests.send(i)

    async with make(pool) as processor, trio.open_nursery() as nursery:

        async def answer():
            async with send_responses:
                await processor.process_into(requests, send_responses)

        nursery.start_soon(bring)
        nursery.start_soon(answer)
        assert [r.unwrap() async for r in responses] == list(range(50))


async def test_failing_request_does_not_end_the_stream(pool, make):
    async with (
        make(pool) as processor,
        processor.process([1, fail, 3]) as responses,
    ):
        found = [type(r) async for r in responses]
    assert found == [outcome.Value, outcome.Error, outcome.Value]


async def test_failing_request_ends_the_stream_if_asked(pool, make):
    async with make(pool) as processor:
        with pytest.raises(ExceptionGroup) as caught:
            async with processor.process([1, fail, 3], on_error="raise") as responses:
                async for _ in responses:
                    pass
        assert caught.group_contains(KeyError)
        assert await processor.execute(1) == 1


async def test_sources_own_error_comes_after_the_answers_before_it(pool, make):
    async def broken():
        yield 1
        yield 2
        raise OSError("source")

    found = []
    async with make(pool) as processor:
        with pytest.raises(OSError, match="source"):
            async with processor.process(broken()) as responses:
                async for response in responses:
                    found.append(response.unwrap())  # noqa: PERF401  # up to the error
    assert found == [1, 2]


async def test_sources_stop_async_iteration_is_not_its_end(pool, make):
    class Broken:
        def __iter__(self):
            raise StopAsyncIteration

    async with make(pool) as processor:
        with pytest.raises(RuntimeError, match="source"):
            async with processor.process(Broken()) as responses:
                async for _ in responses:
                    pass


async def test_endless_source_is_pulled_within_the_bound(pool, make):
    pulled = itertools.count()

    def endless():
        while True:
            yield next(pulled)

    async with (
        make(pool, max_pending_tasks=10) as processor,
        processor.process(endless()) as responses,
    ):
        for expected in range(100):
            assert (await anext(responses)).unwrap() == expected
        await wait_all_tasks_blocked(0.01)
        assert next(pulled) <= 100 + 10


async def test_slow_consumer_holds_up_nobody_else(pool, make):
    async with (
        make(pool, max_pending_tasks=10) as processor,
        processor.process(itertools.count()) as stalled,
    ):
        await anext(stalled)
        outcomes = await processor.execute_parallel_batch(range(100))
        assert [o.unwrap() for o in outcomes] == list(range(100))
        async with processor.process(range(100)) as responses:
            assert [r.unwrap() async for r in responses] == list(range(100))


async def test_leaving_early_withdraws_and_waits(single, make, gate):
    ran = []
    requests = [lambda: gate.hold_while(runtime.check_cancelled)]
    requests += [lambda: ran.append(1)] * 20
    async with make(single, batch_size=1) as processor:
        async with processor.process(requests):
            await gate.wait_entered()
            await wait_all_tasks_blocked()  # all are accepted
        statistics = processor.statistics()
    assert ran == []
    assert statistics.in_flight == 0
    assert statistics.accepted == statistics.withdrawn == 21


async def test_refused_request_is_an_error_in_its_place(single, make, gate):
    async with (
        make(
            single, batch_size=1, max_pending_tasks=5, backpressure="refuse"
        ) as processor,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(processor.execute, gate.hold)
        await gate.wait_entered()
        async with processor.process(range(5)) as responses:
            await wait_all_tasks_blocked()
            gate.open()
            found = [type(r) async for r in responses]
    assert found == [outcome.Value] * 4 + [outcome.Error]


async def test_priority_and_deadline_may_be_told_by_request(pool, make):
    def deadline(request):
        return trio.current_time() - 1 if request == 2 else trio.current_time() + 60

    def priority(request):
        return runtime.Priority.HIGH if request == 1 else "urgent"

    async with make(pool) as processor:
        async with processor.process([1, 2, 3], deadline=deadline) as responses:
            found = [type(r) async for r in responses]
        assert found == [outcome.Value, outcome.Error, outcome.Value]
        first, second = await processor.execute_parallel_batch(
            [1, 2], priority=priority
        )
    assert first.unwrap() == 1
    with pytest.raises(TypeError, match=r"must be a runtime\.Priority"):
        second.unwrap()


async def test_stream_that_outlives_its_processor_ends_with_its_error(pool, make):
    send, receive = trio.open_memory_channel(0)
    async with trio.open_nursery() as nursery:
        stop = trio.Event()

        async def consume():
            async with processor.process(receive) as responses:
                assert (await anext(responses)).unwrap() == 1
                stop.set()
                with pytest.raises(runtime.PoolClosedError):
                    await anext(responses)

        async with make(pool) as processor:
            nursery.start_soon(consume)
            await send.send(1)
            await stop.wait()
        await send.send(2)


async def test_misuse_on_error_is_named(pool, make):
    async with make(pool) as processor:
        with pytest.raises(ValueError, match="on_error"):
            processor.process([], on_error="ignore")
