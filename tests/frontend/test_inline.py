import threading
import time

import pytest
import trio
import trio.testing
from helpers import wait_until

import runtime
from runtime.testing import inline_pool


async def test_inline_runs_jobs_in_the_trio_thread(inline):
    before = threading.active_count()
    ident = await inline.spawn_cpu_work(threading.get_ident)
    assert ident == threading.get_ident()
    assert threading.active_count() == before
    assert inline.worker_count == 1
    assert inline.statistics().backend == "inline"


async def test_inline_error_arrives_unchanged(inline):
    error = ValueError()

    def fail():
        raise error

    with pytest.raises(ValueError) as info:  # noqa: PT011  # the very same object
        await inline.spawn_cpu_work(fail)
    assert info.value is error


async def test_inline_mock_clock_does_not_jump_ahead_of_a_job(autojump_clock):
    async with inline_pool() as pool:
        with trio.fail_after(1):
            for number in range(50):
                assert await pool.spawn_cpu_work(abs, -number) == number
        begin = time.perf_counter()
        await trio.sleep(3600)
        assert time.perf_counter() - begin < 60


async def test_inline_every_call_is_a_checkpoint(inline):
    with trio.testing.assert_checkpoints():
        await inline.spawn_cpu_work(abs, 1)
    with trio.testing.assert_checkpoints():
        await inline.spawn_parallel_batch([1], abs)


async def test_inline_call_that_is_cancelled_in_time_never_runs(inline):
    calls = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(inline.spawn_cpu_work, calls.append, 1)
        nursery.cancel_scope.cancel()
    assert calls == []


async def test_inline_block_cancelled_withdraws():
    calls = []
    with trio.CancelScope() as scope:
        async with inline_pool() as pool:
            for number in range(50):  # it runs one for each step of the Trio loop
                pool.submit_nowait(calls.append, number)
            scope.cancel()
            await trio.lowlevel.checkpoint()
    assert scope.cancelled_caught
    assert len(calls) < 50


async def test_inline_from_worker_is_a_deadlock_and_says_so(inline):
    def ask():
        runtime.from_worker.run(trio.sleep, 0)

    with pytest.raises(runtime.DeadlockError, match="inside an inline pool"):
        await inline.spawn_cpu_work(ask)


async def test_inline_check_cancelled_and_children(inline):
    calls = []

    def parent():
        runtime.check_cancelled()
        inline.submit_nowait(calls.append, 1)

    await inline.spawn_cpu_work(parent)
    await wait_until(lambda: calls == [1])


async def test_inline_two_pools_at_once():
    async with inline_pool(name="a") as a, inline_pool(name="b") as b:
        assert await a.spawn_cpu_work(abs, -1) == await b.spawn_cpu_work(abs, -1)


async def test_misuse_inline_pool_capacity():
    with pytest.raises(ValueError, match="queue_capacity must be at least 1"):
        async with inline_pool(queue_capacity=0):
            pass
