"""runtime.join, where it may be called and where not."""

import threading

import pytest
import trio
from data_parallel import fib

import runtime


def test_join_in_a_plain_thread_runs_on_the_sync_pool(sync_pool):
    assert runtime.join(fib, 10, fib, 11) == (55, 89)
    names = runtime.join(
        lambda: threading.current_thread().name, lambda: threading.current_thread().name
    )
    assert all(name.startswith("runtime-test-") for name in names)


def test_join_inside_a_job_forks_there(sync_pool):
    assert sync_pool.run(fib, 12) == 144


def test_join_raises_what_the_calls_would(sync_pool):
    with pytest.raises(ZeroDivisionError):
        runtime.join(lambda: 1 // 0, int)


def test_join_without_workers_says_what_to_write():
    with pytest.raises(runtime.NotOnWorkerError) as caught:
        runtime.join(int, int)
    assert caught.value.instead == "with runtime.open_sync_pool(): runtime.join()"


async def test_join_on_a_trio_thread_says_what_to_write():
    with pytest.raises(runtime.NotOnWorkerError, match=r"await pool\.join\(f, g\)$"):
        runtime.join(int, int)


def test_join_on_a_trio_thread_inside_a_sync_pool_is_refused(pair):
    async def main():
        runtime.join(int, int)

    with pytest.raises(runtime.NotOnWorkerError, match=r"await pool\.join\(f, g\)$"):
        trio.run(main)


async def test_pool_join_is_the_async_twin():
    async with runtime.open_worker_pool(2) as pool:
        assert await pool.join(fib, 10, fib, 11) == (55, 89)
        assert await pool.join(int, str) == (0, "")
        with pytest.raises(ZeroDivisionError):
            await pool.join(int, lambda: 1 // 0)
