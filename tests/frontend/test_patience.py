"""What is waited for in spite of a cancellation is said."""

import signal

import jobs
import pytest
import trio
import trio.testing
from helpers import cancelled_after, threads_only, wait_until

import runtime


@pytest.fixture
def said(caplog):
    """What was said."""

    def said():
        return [record.getMessage() for record in caplog.records]

    yield said
    caplog.clear()  # the records keep what they name


@pytest.fixture
def autojump_clock():
    """A clock that jumps while all tasks wait, so that patience is short."""
    return trio.testing.MockClock(autojump_threshold=0.01)


async def call(pool, gate):
    await pool.spawn_cpu_work(jobs.hold_out, gate)


async def batch(pool, gate):
    await pool.spawn_parallel_batch([gate], jobs.hold_out)


async def mapped(pool, gate):
    async with pool.map(jobs.hold_out, [gate]) as results:
        async for _ in results:
            pass


async def stream(pool, gate):
    async with (
        runtime.ParallelProcessor(jobs.hold_out, pool=pool) as processor,
        processor.process([gate]) as outcomes,
    ):
        async for _ in outcomes:
            pass


async def execute(pool, gate):
    async with runtime.ParallelProcessor(jobs.hold_out, pool=pool) as processor:
        await processor.execute(gate)


async def gathered(pool, gate):
    async with runtime.ParallelProcessor(jobs.hold_out, pool=pool) as processor:
        await processor.execute_parallel_batch([gate])


CALLS = (call, batch, mapped, stream, execute, gathered)


@pytest.mark.parametrize("wait", CALLS)
async def test_cancelled_wait_says_once_what_it_waits_for(
    wait, open_pool, gate, said, autojump_clock
):
    async def open_later():
        await gate.wait_entered()
        await trio.sleep(20)
        gate.open()

    async with open_pool(1, name="test") as pool, trio.open_nursery() as nursery:
        nursery.start_soon(open_later)
        async with cancelled_after(gate.wait_entered):
            await wait(pool, gate)
        assert gate.is_open
    (message,) = said()
    assert message.startswith("pool 'test' waits for ")
    assert "hold_out" in message


async def test_wait_that_was_not_cancelled_says_nothing(
    open_pool, gate, said, autojump_clock
):
    async def open_later():
        await gate.wait_entered()
        await trio.sleep(20)
        gate.open()

    async with open_pool(1) as pool, trio.open_nursery() as nursery:
        nursery.start_soon(open_later)
        await pool.submit(jobs.hold_out, gate)
        await call(pool, gate)
    assert said() == []


@threads_only
async def test_wait_names_a_few_jobs_and_counts_the_rest(
    open_pool, gate, said, autojump_clock
):
    async def open_later():
        await trio.sleep(20)  # begins when all tasks wait
        gate.open()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(open_later)
        with trio.CancelScope() as scope:
            async with open_pool(8) as pool:
                for number in range(8):
                    await pool.submit(jobs.hold_out, gate, name=f"job {number}")
                await wait_until(lambda: pool.statistics().running == 8)
                scope.cancel()
    (message,) = said()
    assert message.count(", job ") == 4
    assert ", 3 more;" in message


async def test_handler_is_put_back_after_the_wait(pool, gate):
    before = signal.getsignal(signal.SIGINT)
    during = []

    async def wait_and_look():
        await gate.wait_entered()
        scope.cancel()
        await trio.testing.wait_all_tasks_blocked()  # it may poll before it parks
        during.append(signal.getsignal(signal.SIGINT))
        gate.open()

    async with trio.open_nursery() as nursery:
        with trio.CancelScope() as scope:
            nursery.start_soon(wait_and_look)
            await call(pool, gate)
    assert during != [before]
    assert signal.getsignal(signal.SIGINT) == before
