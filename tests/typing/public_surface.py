"""User code that only has to type-check; nothing here is run."""

from collections import Counter
from collections.abc import AsyncIterator
from typing import assert_type

import outcome
import trio

import runtime


def length(text: str) -> int:
    return len(text)


def lengths(texts: list[str]) -> list[int]:
    return [len(text) for text in texts]


async def async_length(text: str, times: int) -> int:
    await trio.lowlevel.checkpoint()
    return len(text) * times


async def words() -> AsyncIterator[str]:
    yield "word"


async def open_and_call() -> None:
    async with runtime.open_worker_pool(
        2, backend="threads", queue_capacity=10, name="mine"
    ) as pool:
        assert_type(pool, runtime.WorkerPool)
        assert_type(await pool.spawn_cpu_work(length, "word"), int)
        assert_type(
            await pool.spawn_cpu_work(
                length,
                "word",
                on_cancel="abandon",
                priority=runtime.Priority.HIGH,
                limiter=trio.CapacityLimiter(1),
                name="length",
            ),
            int,
        )
        assert_type(await runtime.spawn_cpu_work(length, "word"), int)
        await pool.spawn(async_length, "word", 2)
        pool.spawn_nowait(async_length, "word", 2)


async def submit(pool: runtime.WorkerPool) -> None:
    job = await pool.submit(length, "word")
    assert_type(job, runtime.Job[int])
    assert_type(await job.wait(), int)
    assert_type(job.state, runtime.JobState)
    assert_type(pool.submit_nowait(length, "word"), runtime.Job[int])
    job.cancel()


async def many(pool: runtime.WorkerPool) -> None:
    assert_type(await pool.spawn_parallel_batch(["word"], length), list[int])
    assert_type(await pool.spawn_parallel_batch(["word"], length, "raise"), list[int])
    assert_type(
        await pool.spawn_parallel_batch(["word"], length, on_error="return"),
        list[outcome.Value[int] | outcome.Error],
    )
    assert_type(await pool.spawn_chunked_parallel(["word"], 10, length), list[int])
    assert_type(
        await pool.spawn_chunked_parallel(["word"], 10, length, "return"),
        list[outcome.Value[int] | outcome.Error],
    )
    assert_type(
        await pool.spawn_chunked_parallel(["word"], 10, lengths, takes_chunk=True),
        list[int],
    )
    assert_type(
        await pool.spawn_chunked_parallel(
            ["word"], 10, lengths, on_error="return", takes_chunk=True
        ),
        list[outcome.Value[int] | outcome.Error],
    )


async def stream(pool: runtime.WorkerPool) -> None:
    async with pool.map(length, ["word"]) as results:
        async for result in results:
            assert_type(result, int)
    async with pool.map(length, words(), max_in_flight=8, ordered=False) as results:
        assert_type(results, AsyncIterator[int])
    async with pool.map(length, words(), on_error="return") as outcomes:
        async for one in outcomes:
            assert_type(one, outcome.Value[int] | outcome.Error)
            assert_type(one.unwrap(), int)


async def observe_and_end(pool: runtime.WorkerPool) -> None:
    now = pool.statistics()
    assert_type(now, runtime.PoolStatistics)
    assert_type(now.workers, tuple[runtime.WorkerStatistics, ...])
    assert_type(now.queue_latency.quantile_ns(0.99), int)
    assert_type(now.utilization_ratio, float)
    report = await pool.shutdown(grace=1.0)
    assert_type(report, runtime.ShutdownReport)
    assert_type(report.still_running, tuple[runtime.Straggler, ...])


def inside_a_job() -> None:
    runtime.check_cancelled()
    assert_type(runtime.from_worker.run(async_length, "word", 2), int)
    assert_type(runtime.from_worker.run_sync(length, "word"), int)


def data_parallel() -> None:
    with runtime.open_sync_pool(2, name="mine") as pool:
        assert_type(pool, runtime.SyncPool)
        assert_type(pool.run(length, "word"), int)
        assert_type(runtime.join(str, int), tuple[str, int])
        assert_type(runtime.join(length, "a", lengths, ["b"]), tuple[int, list[int]])
        assert_type(runtime.broadcast(length, "word"), list[int])
        with runtime.scope() as scope:
            assert_type(scope, runtime.Scope)
            scope.spawn(length, "word")
        local = runtime.worker_local(list[int])
        assert_type(local.get(), list[int])


def chains() -> None:
    words = runtime.par_iter(["word"])
    assert_type(words.map(length).sum(), int)
    assert_type(words.collect(), list[str])
    assert_type(words.collect(set[str]), set[str])
    assert_type(words.enumerate().collect(), list[tuple[int, str]])
    assert_type(words.chunks(3).map(lengths).collect(), list[list[int]])
    assert_type(words.flat_map(list).count(), int)
    assert_type(words.counter(), Counter[str])
    assert_type(words.find_first(str.isdigit), str | None)
    assert_type(words.position(str.isdigit), int | None)
    assert_type(words.partition(str.isdigit), tuple[list[str], list[str]])
    assert_type(words.any(), bool)
    assert_type(words.min(key=length), str)
    assert_type(words.progress("words").for_each(length), None)


async def awaited_chains(pool: runtime.WorkerPool) -> None:
    assert_type(await pool.par_iter(["word"]).map(length).sum(), int)
    assert_type(await pool.par_iter(words()).collect(), list[str])
    assert_type(await pool.par_iter(["word"]).filter(None).count(), int)
    assert_type(await pool.join(str, int), tuple[str, int])
    assert_type(await pool.broadcast(length, "word"), list[int])


async def in_a_test() -> None:
    async with runtime.testing.inline_pool(queue_capacity=5) as pool:
        assert_type(await pool.spawn_cpu_work(length, "word"), int)


async def process_requests(requests: list[str]) -> None:
    config = runtime.ParallelConfig(batch_size=5, backpressure="refuse")
    async with runtime.ParallelProcessor(length, config) as processor:
        assert_type(processor, runtime.ParallelProcessor[str, int])
        assert_type(await processor.execute("word"), int)
        outcomes = await processor.execute_parallel_batch(requests)
        assert_type(outcomes, list[outcome.Maybe[int]])
        async with processor.process(words(), ordered=False) as responses:
            assert_type(await anext(responses), outcome.Maybe[int])
        assert_type(processor.statistics(), runtime.ProcessingStatistics)
        monitor = runtime.StreamPerformanceMonitor()
        watched = processor.with_performance_monitor(monitor)
        assert_type(watched, runtime.ParallelProcessor[str, int])
    async with runtime.ParallelProcessor(lengths, takes_batch=True) as in_batches:
        assert_type(in_batches, runtime.ParallelProcessor[str, int])


async def misuse(pool: runtime.WorkerPool) -> None:
    await pool.spawn_cpu_work(length, 3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await pool.spawn_cpu_work(length)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await pool.spawn_parallel_batch([3], length)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
