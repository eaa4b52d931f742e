"""The context variables of jobs: each job and each item has its own, its caller's."""

import contextvars
import decimal
import gc
import threading
from functools import partial

import jobs
import pytest
import sniffio
import trio

import runtime

ITEMS = range(100)


async def by_calls(pool, fn):
    return [await pool.spawn_cpu_work(fn, item) for item in ITEMS]


async def by_submissions(pool, fn):
    submitted = [await pool.submit(fn, item) for item in ITEMS]
    return [await job.wait() for job in submitted]


async def by_batch(pool, fn):
    return await pool.spawn_parallel_batch(ITEMS, fn)


async def by_batch_of_outcomes(pool, fn):
    results = await pool.spawn_parallel_batch(ITEMS, fn, on_error="return")
    return [result.unwrap() for result in results]


async def by_interruptible_batch(pool, fn):
    return await pool.spawn_parallel_batch(ITEMS, fn, on_cancel="interrupt")


async def by_chunks(pool, fn):
    return await pool.spawn_chunked_parallel(ITEMS, 8, fn)


async def by_whole_chunks(pool, fn):
    each = partial(jobs.each, fn)
    return await pool.spawn_chunked_parallel(ITEMS, 1, each, takes_chunk=True)


async def by_map(pool, fn, **options):
    async with pool.map(fn, ITEMS, max_in_flight=64, **options) as results:
        return [result async for result in results]


async def by_map_of_outcomes(pool, fn):
    results = await by_map(pool, fn, on_error="return", ordered=False)
    return [result.unwrap() for result in results]


async def by_requests(pool, fn, **options):
    config = runtime.ParallelConfig(batch_size=8)
    async with runtime.ParallelProcessor(fn, config, pool=pool, **options) as processor:
        results = await processor.execute_parallel_batch(ITEMS)
    return [result.unwrap() for result in results]


async def by_requests_of_several(pool, fn):
    """Requests of one batch come from callers with different contexts."""
    answers = []
    config = runtime.ParallelConfig(batch_size=8, batch_delay=0.001)

    async def bring(processor, item):
        answers.append(await processor.execute(item))

    async with (
        runtime.ParallelProcessor(fn, config, pool=pool) as processor,
        trio.open_nursery() as nursery,
    ):
        for item in ITEMS:
            nursery.start_soon(bring, processor, item)
    return answers


async def by_batches_of_requests(pool, fn):
    config = runtime.ParallelConfig(batch_size=1)
    async with runtime.ParallelProcessor(
        partial(jobs.each, fn), config, pool=pool, takes_batch=True
    ) as processor:
        results = await processor.execute_parallel_batch(ITEMS)
    return [result.unwrap() for result in results]


async def by_stream(pool, fn):
    config = runtime.ParallelConfig(batch_size=8)
    async with (
        runtime.ParallelProcessor(fn, config, pool=pool) as processor,
        processor.process(ITEMS) as responses,
    ):
        return [response.unwrap() async for response in responses]


WAYS = [
    by_calls,
    by_submissions,
    by_batch,
    by_batch_of_outcomes,
    by_interruptible_batch,
    by_chunks,
    by_whole_chunks,
    by_map,
    by_map_of_outcomes,
    by_requests,
    by_requests_of_several,
    by_batches_of_requests,
    by_stream,
]


async def by_each_way(pool, fn):
    """Return the results of each way as a set."""
    return {way.__name__: set(await way(pool, fn)) for way in WAYS}


def all_ways(*results):
    return {way.__name__: set(results) for way in WAYS}


@pytest.fixture
def own_context():
    """The test's changes to context variables stay in it."""
    before = sniffio.current_async_library_cvar.get(), decimal.getcontext()
    yield
    sniffio.current_async_library_cvar.set(before[0])
    decimal.setcontext(before[1])


pytestmark = pytest.mark.usefixtures("own_context")


# What is set


async def test_each_item_sees_its_callers_variables(pool):
    jobs.REQUEST.set("the caller's")
    assert await by_each_way(pool, jobs.swap_request) == all_ways("the caller's")
    assert jobs.REQUEST.get() == "the caller's"


async def test_each_item_sees_the_default_where_nothing_is_set(pool):
    results = {}

    async def run():
        results.update(await by_each_way(pool, jobs.swap_request))

    async with trio.open_nursery() as nursery:
        contextvars.Context().run(nursery.start_soon, run)
    assert results == all_ways("none")


# Decimal's context, which is changed where it is


def third(precision):
    return "0." + precision * "3"


def expected(item, precision=9):
    return third(precision), third(30 + item)


async def test_each_item_computes_with_its_callers_precision(pool):
    decimal.setcontext(decimal.Context(prec=9))
    results = await by_each_way(pool, jobs.swap_precision)
    assert results == all_ways(*map(expected, ITEMS))
    assert decimal.getcontext().prec == 9


async def test_each_item_computes_with_the_default_precision(pool):
    decimal.setcontext(decimal.Context())
    results = await by_each_way(pool, jobs.swap_precision)
    assert results == all_ways(*(expected(item, 28) for item in ITEMS))
    assert decimal.getcontext().prec == 28


async def test_forks_leave_the_precision_of_their_job(pool):
    decimal.setcontext(decimal.Context(prec=9))
    results = await pool.spawn_parallel_batch(ITEMS, jobs.swap_precision_in_forks)
    assert results == [expected(item) for item in ITEMS]


@pytest.mark.threads_only
async def test_broadcast_leaves_the_precision_of_its_job(pool):
    def swap():
        runtime.broadcast(partial(jobs.swap_precision, 1))
        return jobs.swap_precision(1)

    decimal.setcontext(decimal.Context(prec=9))
    assert await pool.spawn_cpu_work(swap) == expected(1)


def test_sync_pool_leaves_its_callers_precision():
    decimal.setcontext(decimal.Context(prec=9))
    with runtime.open_sync_pool(2) as pool:
        assert [pool.run(jobs.swap_precision, item) for item in ITEMS] == [
            expected(item) for item in ITEMS
        ]
        with runtime.scope() as scope:
            scope.spawn(jobs.swap_precision, 1)
    assert decimal.getcontext().prec == 9


async def test_chain_leaves_its_callers_precision(pool):
    decimal.setcontext(decimal.Context(prec=9))
    await pool.par_iter(list(ITEMS)).map(jobs.swap_precision).collect()
    assert decimal.getcontext().prec == 9


async def test_precision_in_trio_is_the_jobs_and_stays_there(pool):
    decimal.setcontext(decimal.Context(prec=9))
    assert await pool.spawn_cpu_work(jobs.ask_twice_with_precision, 11) == [
        third(11),
        third(11),
    ]


async def test_initializer_sets_variables_of_jobs(interpreters):
    async with runtime.open_worker_pool(
        1,
        backend="interpreters",
        initializer=jobs.set_variables,
        initargs=("initialized", 17),
    ) as pool:
        decimal.setcontext(decimal.Context())
        for _ in range(2):  # one leaves it to the next
            assert await pool.spawn_cpu_work(jobs.swap_precision, 1) == expected(1, 17)
            assert await pool.spawn_cpu_work(jobs.swap_request, 1) == "initialized"
        assert await by_batch(pool, jobs.swap_precision) == [
            expected(item, 17) for item in ITEMS
        ]
        jobs.REQUEST.set("the caller's")
        decimal.setcontext(decimal.Context(prec=9))
        assert await pool.spawn_cpu_work(jobs.swap_request, 1) == "the caller's"
        assert await pool.spawn_cpu_work(jobs.swap_precision, 1) == expected(1)


# The async library


async def test_no_async_library_runs_in_a_job(pool):
    sniffio.current_async_library_cvar.set("trio")  # as AnyIO does
    assert await by_each_way(pool, jobs.async_library) == all_ways(None)
    assert sniffio.current_async_library_cvar.get() == "trio"


@pytest.mark.threads_only
async def test_no_async_library_runs_in_forks_and_chains(pool):
    def run():
        seen = list(runtime.join(jobs.async_library, jobs.async_library))
        with runtime.scope() as scope:
            scope.spawn(lambda: seen.append(jobs.async_library()))
        return seen + runtime.broadcast(jobs.async_library)

    sniffio.current_async_library_cvar.set("trio")
    assert set(await pool.spawn_cpu_work(run)) == {None}
    chain = pool.par_iter(list(ITEMS)).map(jobs.async_library)
    assert set(await chain.collect()) == {None}


def test_no_async_library_runs_in_a_sync_pool():
    sniffio.current_async_library_cvar.set("trio")
    with runtime.open_sync_pool(2) as pool:
        assert pool.run(jobs.async_library) is None


async def test_trio_runs_where_a_job_asks_for_something(pool):
    sniffio.current_async_library_cvar.set("trio")
    ways = (by_calls, by_submissions, by_batch, by_map, by_requests)
    results = {way: set(await way(pool, jobs.async_libraries_in_trio)) for way in ways}
    assert results == {way: {("trio", "trio")} for way in ways}


# Threads


class Value:
    """Something that can be waited for to be gone."""

    def __init__(self):
        self.is_gone = threading.Event()

    def __del__(self):
        self.is_gone.set()


async def test_threads_keep_no_value_of_whoever_opened_the_pool(open_pool):
    value = Value()
    is_gone = value.is_gone
    token = jobs.OBJECT.set(value)
    async with open_pool(2, stuck_after=600) as pool:
        jobs.OBJECT.reset(token)
        await pool.spawn_cpu_work(jobs.same, 1)
        del token, value
        gc.collect()
        assert is_gone.is_set()


async def test_spare_threads_keep_no_value_of_a_job(pool):
    value = Value()
    is_gone = value.is_gone
    token = jobs.OBJECT.set(value)
    await pool.spawn_cpu_work(jobs.async_libraries_in_trio)  # a spare takes its place
    jobs.OBJECT.reset(token)
    del token, value
    await pool.spawn_parallel_batch(range(10), jobs.same)
    gc.collect()
    assert is_gone.is_set()
