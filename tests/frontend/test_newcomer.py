"""What a newcomer writes: each error is one line that ends in what to write instead."""

import functools
import gc
import weakref

import jobs
import pytest
import trio

import runtime
from runtime._frontend.handle import Job

OPEN = "async with runtime.open_worker_pool() as pool: ..."
MAP = "async with pool.map(fn, items) as results: ..."
PROCESS = "async with processor.process(requests) as responses: ..."
INLINE = "async with runtime.testing.inline_pool() as pool: ..."


@pytest.fixture
async def processor(pool):
    async with runtime.ParallelProcessor(jobs.double, pool=pool) as processor:
        yield processor


def openers(pool, processor):
    """Return what opens each kind of block, with the line to write."""
    return {
        OPEN: runtime.open_worker_pool,
        INLINE: runtime.testing.inline_pool,
        MAP: lambda: pool.map(jobs.double, [1]),
        PROCESS: lambda: processor.process([1]),
    }


def ends_in(error, written):
    """Tell whether an error is one line that ends in what to write."""
    text = str(error)
    return "\n" not in text and text.endswith(f": {written}")


async def test_misuse_of_what_opens_a_block_says_how_to_open_it(pool, processor):
    for written, make in openers(pool, processor).items():
        manager = make()
        with pytest.raises(TypeError) as with_, manager:
            pass
        with pytest.raises(TypeError) as awaited:
            await manager
        with pytest.raises(TypeError) as iterated:
            iter(manager)
        with pytest.raises(TypeError) as iterated_async:
            aiter(manager)
        with pytest.raises(AttributeError, match="'spawn_cpu_work'") as used:
            manager.spawn_cpu_work  # noqa: B018
        for caught in with_, awaited, iterated, iterated_async, used:
            assert ends_in(caught.value, written)
        async with manager:  # none of it has spoiled it
            pass


async def test_misuse_of_a_block_twice_says_to_write_it_anew(pool, processor):
    for written, make in openers(pool, processor).items():
        manager = make()
        for _ in range(2):
            async with manager:
                with pytest.raises(RuntimeError, match="opened only once") as inside:
                    await manager.__aenter__()
                assert ends_in(inside.value, written)
            break
        with pytest.raises(RuntimeError, match="opened only once") as afterwards:
            await manager.__aenter__()
        assert ends_in(afterwards.value, written)


async def test_misuse_of_a_processor_twice_says_to_make_another(pool):
    processor = runtime.ParallelProcessor(jobs.double, pool=pool)
    async with processor:
        pass
    with pytest.raises(RuntimeError, match="opens only once") as caught:
        async with processor:
            pass
    assert ends_in(
        caught.value, "async with runtime.ParallelProcessor(...) as processor:"
    )


@pytest.mark.parametrize(
    ("args", "options", "given"),
    [((), {}, ""), ((4,), {"name": "mine"}, "4, name='mine'")],
)
def test_misuse_of_the_pools_class_says_how_to_open_one(args, options, given):
    with pytest.raises(TypeError, match="made by open_worker_pool") as caught:
        runtime.WorkerPool(*args, **options)
    assert ends_in(
        caught.value, f"async with runtime.open_worker_pool({given}) as pool: ..."
    )


async def test_misuse_of_a_job_as_an_awaitable_names_its_method(pool):
    job = await pool.submit(jobs.double, 1)
    with pytest.raises(TypeError) as caught:
        await job
    assert ends_in(caught.value, "await job.wait()")
    assert await job.wait() == 2


async def test_misuse_keywords_for_the_function_says_partial(pool, monkeypatch):
    monkeypatch.setenv("RUNTIME_BACKEND", "threads")
    for name, fn in {
        "spawn_cpu_work": pool.spawn_cpu_work,
        "submit": pool.submit,
        "submit_nowait": pool.submit_nowait,
        "spawn": pool.spawn,
        "spawn_nowait": pool.spawn_nowait,
        "broadcast": pool.broadcast,
        "runtime.spawn_cpu_work": runtime.spawn_cpu_work,
    }.items():
        with pytest.raises(TypeError) as caught:
            called = fn(jobs.identity, 1, key=1)
            await called
        assert ends_in(caught.value, f"{name}(functools.partial(identity, key=1), ...)")
    assert await pool.spawn_cpu_work(functools.partial(int, "11", base=2)) == 3


@pytest.mark.parametrize("verb", ["run", "run_sync"])
async def test_misuse_keywords_for_what_a_job_asks_says_partial(pool, verb):
    with pytest.raises(TypeError) as caught:
        await pool.spawn_cpu_work(jobs.ask_with_keywords, verb)
    line = f"runtime.from_worker.{verb}(functools.partial(int, base=2), ...)"
    assert ends_in(caught.value, line)


async def test_misuse_no_items_says_what_is_missing(pool, processor):
    batch = "await pool.spawn_parallel_batch(items, fn)"
    chunked = "await pool.spawn_chunked_parallel(items, size, fn)"
    gather = "await processor.execute_parallel_batch(requests)"
    for call, written in (
        (lambda: pool.spawn_parallel_batch(None, jobs.double), batch),
        (lambda: pool.spawn_chunked_parallel(None, 1, jobs.double), chunked),
        (lambda: pool.map(jobs.double, None), MAP),
        (lambda: processor.execute_parallel_batch(None), gather),
        (lambda: processor.execute_chunked_parallel(7), gather),
        (lambda: processor.process(None), PROCESS),
    ):
        with pytest.raises(TypeError, match="items must be something to iterate") as no:
            await call()
        assert ends_in(no.value, written)


async def test_misuse_async_items_for_a_batch_says_what_takes_them(pool, processor):
    for call, written in (
        (lambda items: pool.spawn_parallel_batch(items, jobs.double), MAP),
        (processor.execute_parallel_batch, PROCESS),
    ):
        with pytest.raises(TypeError, match="cannot be made into a list") as caught:
            await call(numbers())
        assert ends_in(caught.value, written)
    async with pool.map(jobs.double, numbers()) as results:
        assert [result async for result in results] == [2]


async def numbers():
    yield 1


class OldSequence:
    """Has no ``__iter__`` and can be iterated over all the same."""

    def __getitem__(self, index):
        return [1, 2][index]


async def test_items_of_any_kind_that_can_be_iterated_over_are_taken(pool):
    assert await pool.spawn_parallel_batch(OldSequence(), jobs.double) == [2, 4]


def hidden(fn):
    """Decorate a function and forget what it was."""

    def wrapper(*args):
        return fn(*args)

    return wrapper


@hidden
async def fetch(*_args):
    pass


async def results_of(pool, fn, *items, **options):
    async with pool.map(fn, items, **options) as results:
        return [result async for result in results]


@pytest.mark.parametrize("fn", [jobs.make_coroutine, jobs.make_async_generator])
async def test_misuse_hidden_async_function_is_named_wherever_it_runs(pool, fn):
    for call in (
        lambda: pool.spawn_cpu_work(fn),
        lambda: pool.submit_nowait(fn).wait(),
        lambda: pool.spawn_parallel_batch([1, 2], fn),
        lambda: pool.spawn_chunked_parallel([1, 2], 2, fn),
        lambda: pool.spawn_chunked_parallel([1, 2], 2, fn, takes_chunk=True),
        lambda: results_of(pool, fn, 1, 2),
    ):
        with pytest.raises((TypeError, ExceptionGroup)) as caught:
            await call()
        error = caught.value
        if isinstance(error, ExceptionGroup):
            error = error.exceptions[0]
        assert isinstance(error, TypeError)
        assert "coroutine" in str(error) or "async" in str(error)
        assert fn.__name__ in str(error) or "nothing" in str(error)
    gc.collect()  # a coroutine that nobody closed warns


@pytest.mark.threads_only
async def test_misuse_hidden_async_function_is_found_among_returned_errors(pool):
    for call in (
        lambda: pool.spawn_parallel_batch([1, 2], fetch, "return"),
        lambda: results_of(pool, fetch, 1, 2, on_error="return"),
    ):
        for result in await call():
            with pytest.raises(TypeError) as caught:
                result.unwrap()
            assert ends_in(caught.value, "await pool.spawn(fetch, ...)")


@pytest.mark.parametrize(("given", "member"), [("high", "HIGH"), (7, "NORMAL")])
async def test_misuse_priority_by_another_name_says_how_to_write_it(
    pool, given, member
):
    with pytest.raises(TypeError) as caught:
        await pool.spawn_cpu_work(jobs.double, 1, priority=given)
    assert ends_in(caught.value, f"priority=runtime.Priority.{member}")


def test_pools_and_jobs_can_be_referenced_weakly(open_pool):
    async def main():
        async with open_pool(1) as pool:
            job = pool.submit_nowait(jobs.double, 1)
            assert type(job) is Job
            found = weakref.ref(pool), weakref.ref(job)
            assert [ref() for ref in found] == [pool, job]
            await job.wait()
        return found

    pool, job = trio.run(main)
    gc.collect()
    assert (pool(), job()) == (None, None)
    with runtime.open_sync_pool(1) as sync_pool:
        assert weakref.ref(sync_pool)() is sync_pool
