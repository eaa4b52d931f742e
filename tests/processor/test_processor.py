"""The processor's block, its public calls, and its numbers."""

import contextvars
import gc
import math
import weakref

import outcome
import pytest
import trio
from helpers import wait_until

import runtime

colour = contextvars.ContextVar("colour", default="none")


def fail():
    raise KeyError("no")


def unwrapped(outcomes):
    return [result.unwrap() for result in outcomes]


async def test_batch_answers_in_input_order(pool, make):
    async with make(pool, batch_size=3) as processor:
        assert unwrapped(await processor.execute_parallel_batch(range(50))) == list(
            range(50)
        )


async def test_batch_of_nothing_is_a_checkpoint(pool, make):
    async with make(pool) as processor:
        with trio.testing.assert_checkpoints():
            assert await processor.execute_parallel_batch([]) == []


async def test_batch_that_cannot_even_be_made_is_a_checkpoint(pool, make):
    async with make(pool, cost_of=lambda request: 1 // request) as processor:
        with trio.testing.assert_checkpoints():
            (result,) = await processor.execute_parallel_batch([0])
    assert isinstance(result.error, ZeroDivisionError)


async def test_batch_larger_than_the_bound_is_admitted_in_pieces(pool, make):
    async with make(pool, max_pending_tasks=7, backpressure="refuse") as processor:
        outcomes = await processor.execute_parallel_batch(range(100))
    assert unwrapped(outcomes) == list(range(100))


async def test_failing_request_is_an_error_in_its_place(pool, make):
    async with make(pool) as processor:
        good, bad, last = await processor.execute_parallel_batch([1, fail, 3])
    assert (good.unwrap(), last.unwrap()) == (1, 3)
    assert isinstance(bad.error, KeyError)
    # The traceback begins with the user's own frame.
    assert bad.error.__traceback__.tb_frame.f_code.co_name == "answer"


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, RecursionError])
async def test_request_that_raises_anything_takes_no_worker_down(pool, make, error):
    def raise_it():
        raise error

    async with make(pool) as processor:
        first, second = await processor.execute_parallel_batch([raise_it, 2])
        assert isinstance(first.error, error)
        assert second.unwrap() == 2
        assert await processor.execute(3) == 3


async def test_chunks_have_the_batch_size(pool, make):
    seen = []

    def take(batch):
        seen.append(list(batch))
        return batch

    async with make(pool, handler=take, takes_batch=True, batch_size=4) as processor:
        outcomes = await processor.execute_chunked_parallel(range(10))
    assert unwrapped(outcomes) == list(range(10))
    assert sorted(seen) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


async def test_chunk_larger_than_the_bound_is_accepted(pool, make):
    async with make(pool, batch_size=10, max_pending_tasks=3) as processor:
        outcomes = await processor.execute_chunked_parallel(range(25))
        assert unwrapped(outcomes) == list(range(25))
        assert await processor.execute(1) == 1


async def test_execute_returns_or_raises_what_the_handler_does(pool, make):
    async with make(pool) as processor:
        assert await processor.execute(5) == 5
        with pytest.raises(KeyError, match="no"):
            await processor.execute(fail)


async def test_batch_handler_that_raises_fails_each_request(pool, make):
    def refuse(batch):
        raise OSError("all of you")

    async with make(pool, handler=refuse, takes_batch=True) as processor:
        outcomes = await processor.execute_parallel_batch(range(3))
    assert [type(o.error) for o in outcomes] == [OSError] * 3
    for result in outcomes:
        with pytest.raises(OSError, match="all of you"):
            result.unwrap()


async def test_batch_handler_with_a_missing_answer_is_told(pool, make):
    async with make(pool, handler=lambda b: b[1:], takes_batch=True) as processor:
        (result,) = await processor.execute_parallel_batch([1])
    with pytest.raises(ValueError, match="returned 0 results for 1 items"):
        result.unwrap()


async def test_request_runs_in_its_callers_context(pool, make):
    async def call(processor, value, found):
        colour.set(value)
        found.append(await processor.execute(colour.get) == value)

    found = []
    async with make(pool) as processor, trio.open_nursery() as nursery:
        for value in map(str, range(20)):
            nursery.start_soon(call, processor, value, found)
    assert found == [True] * 20
    assert colour.get() == "none"


async def test_leaving_the_block_answers_what_was_accepted(single, make, gate):
    answers = []

    async def call(processor, request):
        answers.append(await processor.execute(request))

    async with (
        trio.open_nursery() as nursery,
        make(single, batch_size=1) as processor,
    ):
        nursery.start_soon(call, processor, gate.hold)
        for request in range(5):
            nursery.start_soon(call, processor, request)
        await gate.wait_entered()
        await wait_until(lambda: processor.statistics().accepted == 6)
        gate.open()
    assert sorted(answers, key=str) == [0, 1, 2, 3, 4, None]


async def test_closed_processor_refuses(pool, make):
    async with make(pool) as processor:
        pass
    with pytest.raises(runtime.PoolClosedError):
        await processor.execute(1)
    with pytest.raises(runtime.PoolClosedError):
        await processor.execute_parallel_batch([1])
    with pytest.raises(runtime.PoolClosedError):
        processor.process([1])


async def test_block_left_by_an_error_withdraws_what_has_not_begun(single, make, gate):
    outcomes = []

    async def call(processor, request):
        outcomes.append(await outcome.acapture(processor.execute, request))

    async with trio.open_nursery() as nursery:
        with pytest.raises(ZeroDivisionError):
            async with make(single, batch_size=1) as processor:
                nursery.start_soon(
                    call, processor, lambda: gate.hold_while(runtime.check_cancelled)
                )
                await gate.wait_entered()
                for request in range(5):
                    nursery.start_soon(call, processor, request)
                await wait_until(lambda: processor.statistics().accepted == 6)
                1 / 0  # noqa: B018  # the error is the point
    assert [type(o.error) for o in outcomes] == [runtime.TaskCancelled] * 6
    statistics = processor.statistics()
    assert (statistics.withdrawn, statistics.in_flight) == (6, 0)


async def test_pool_that_is_shut_down_answers_every_request(single, make, gate):
    outcomes = []

    async def call(processor, request):
        outcomes.append(await outcome.acapture(processor.execute, request))

    async with make(single, batch_size=1) as processor, trio.open_nursery() as nursery:
        nursery.start_soon(
            call, processor, lambda: gate.hold_while(runtime.check_cancelled)
        )
        await gate.wait_entered()
        for request in range(5):
            nursery.start_soon(call, processor, request)
        await wait_until(lambda: processor.statistics().accepted == 6)
        await single.shutdown(0)
    errors = {type(o.error) for o in outcomes}
    assert errors <= {runtime.TaskCancelled, runtime.PoolClosedError}
    assert len(outcomes) == 6


async def test_pool_that_leaves_a_straggler_behind_answers_it(single, make, gate):
    # That it gave up is the runtime's own error, which no policy tries again.
    policy = runtime.RetryPolicy(delay=1000)
    async with (
        make(single, retry=policy) as processor,
        trio.open_nursery() as nursery,
    ):

        async def call():
            with pytest.raises(runtime.TaskCancelled):
                await processor.execute(gate.hold)

        nursery.start_soon(call)
        await gate.wait_entered()
        report = await single.shutdown(0)
        assert len(report.still_running) == 1
        gate.open()


async def test_statistics_count_each_request_once(pool, make):
    async with make(pool) as processor:
        await processor.execute_parallel_batch([1, fail, 3, fail])
        statistics = processor.statistics()
    assert statistics.accepted == 4
    assert (statistics.processed, statistics.failed) == (2, 2)
    assert statistics.in_flight == statistics.queued == 0
    for histogram in ("latency", "queue_latency", "run_time"):
        assert getattr(statistics, histogram).count == 4
    assert statistics.batches >= 1
    assert 0 < statistics.useful_ns <= statistics.batch_ns
    assert 0 < statistics.batch_efficiency_ratio <= 1
    assert statistics.mean_processing_ns > 0
    assert statistics.mean_batch_size == 4 / statistics.batches
    assert statistics.requests_per_second > 0
    assert len(statistics.worker_utilization) == 2
    assert all(0 <= share <= 1 for share in statistics.worker_utilization)


async def test_statistics_totals_include_failures(pool, make):
    async with make(pool) as processor:
        await processor.execute_parallel_batch([1, 2, fail, 4])
    statistics = processor.statistics()
    assert statistics.total_processed == 4
    assert statistics.total_failed == 1
    assert statistics.total_processing_time == statistics.useful_ns / 1e9 > 0


async def test_statistics_that_are_off_still_count_requests(pool, make):
    async with make(pool, enable_statistics=False) as processor:
        await processor.execute_parallel_batch(range(9))
        statistics = processor.statistics()
    assert statistics.processed == 9
    assert statistics.latency.count == statistics.batches == 0
    assert statistics.batch_efficiency_ratio == statistics.mean_batch_size == 0
    assert statistics.mean_processing_ns == 0


async def test_processor_with_a_pool_of_its_own_closes_it():
    config = runtime.ParallelConfig(worker_count=1, thread_name_prefix="mine")
    async with runtime.ParallelProcessor(str, config) as processor:
        assert processor.name.startswith("mine-")
        assert processor.config is config
        assert await processor.execute(5) == "5"
        assert "open" in repr(processor)
    assert "closed" in repr(processor)


async def test_inline_pool_is_enough(inline, make):
    async with make(inline) as processor:
        assert unwrapped(await processor.execute_parallel_batch(range(30))) == list(
            range(30)
        )


async def test_leak_answered_requests_are_forgotten(pool, make):
    class Thing:
        pass

    alive = weakref.WeakSet()

    def handle(thing):
        return thing

    async with make(pool, handler=handle) as processor:
        things = [Thing() for _ in range(50)]
        alive.update(things)
        outcomes = await processor.execute_parallel_batch(things)
        assert len(outcomes) == 50
        del things, outcomes
        await wait_until(lambda: gc.collect() is not None and len(alive) == 0)


async def test_handler_runs_on_workers_of_its_pool(pool, make):
    async with make(pool) as processor:
        worker = await processor.execute(runtime.lowlevel.current_worker)
    assert worker is not None


@pytest.mark.parametrize("wrong", [{"config": 3}, {"config": {}}, {"pool": 3}])
def test_misuse_config_and_pool_are_named(wrong):
    ((name, value),) = wrong.items()
    with pytest.raises(TypeError, match=rf"{name} must be a runtime\.\w+, not {value}"):
        runtime.ParallelProcessor(int, **wrong)


@pytest.mark.parametrize(
    "wrong", [{"deadline": "x"}, {"deadline": math.nan}, {"timeout": "x"}]
)
async def test_misuse_time_of_a_request_harms_no_other(pool, make, wrong):
    (name,) = wrong
    async with make(pool) as processor:
        with pytest.raises(TypeError, match=f"{name} must be a "):
            await processor.execute(1, **wrong)
        assert await processor.execute(1, deadline=trio.current_time() + 60) == 1
        assert await processor.execute(2, timeout=60) == 2
