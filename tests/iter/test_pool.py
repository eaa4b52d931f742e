"""The async twins of chains, on a pool."""

import jobs
import pytest
import trio

import runtime


def double(item):
    return 2 * item


async def numbers(count):
    for number in range(count):
        await trio.lowlevel.checkpoint()
        yield number


@pytest.fixture
async def pool():
    async with runtime.open_worker_pool(2, name="mine") as pool:
        yield pool


async def test_terminal_is_awaited(pool):
    assert await pool.par_iter(range(100)).map(double).sum() == 9900
    assert await pool.par_iter([3, 1, 2]).max() == 3
    assert await pool.par_iter({"a": 1}).collect(set) == {"a"}


async def test_async_iterable_is_pulled_in_trio(pool):
    doubled = await pool.par_iter(numbers(3000)).map(double).collect()
    assert doubled == list(map(double, range(3000)))
    assert await pool.par_iter(numbers(10)).chunks(4).count() == 3


async def test_failures_arrive_in_a_group(pool):
    with pytest.RaisesGroup(ValueError):
        await pool.par_iter("12x4").map(int).sum()


async def test_failing_async_iterable(pool):
    async def items():
        yield 1
        raise OSError("source")

    with pytest.RaisesGroup(OSError):
        await pool.par_iter(items()).sum()


async def cancelled_source():
    yield 1
    raise runtime.JobCancelled


@pytest.mark.parametrize(
    "make",
    [
        lambda chain: chain(range(1000)).reduce(jobs.cancel_at_home),
        lambda chain: chain(range(1000)).map(jobs.cancel_myself).sum(),
        lambda chain: chain(cancelled_source()).sum(),
    ],
    ids=["combine", "item", "source"],
)
async def test_chain_that_asks_to_end_is_cancelled(backend, make):
    async with runtime.open_worker_pool(2, backend=backend) as pool:
        with pytest.raises(runtime.TaskCancelled, match=r"by itself|of its items"):
            await make(pool.par_iter)


async def test_endless_async_iterable_is_cancelled(pool):
    async def items():
        while True:
            yield 1
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(pool.par_iter(items()).count)
        await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    assert pool.statistics().in_flight == 0


async def test_inline_pool_has_the_twins():
    async with runtime.testing.inline_pool() as pool:
        assert await pool.par_iter(range(10)).map(double).sum() == 90
        assert await pool.join(int, str) == (0, "")


async def test_pool_keeps_its_own_promises(pool):
    """The handle is another object than the one inside; it must do the same."""
    assert isinstance(pool, runtime.WorkerPool)
    assert repr(pool) == "<runtime.WorkerPool 'mine' open, 2 workers>"
    assert await pool.spawn_cpu_work(double, 4) == 8
    report = await pool.shutdown()
    assert report is await pool.shutdown()
    with pytest.raises(runtime.PoolClosedError):
        await pool.par_iter(range(3)).sum()
