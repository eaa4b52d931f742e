import threading

import pytest
import trio
import trio.testing
from helpers import TIMEOUT

import runtime
from runtime import from_worker

pytestmark = pytest.mark.threads_only("see tests/backends/test_from_worker.py")


async def test_blocking_lets_another_job_run_in_its_place(single):
    entered, event = threading.Event(), threading.Event()

    def wait_for_event():
        with runtime.blocking():
            entered.set()
            return event.wait(TIMEOUT)

    job = await single.submit(wait_for_event)
    assert await trio.to_thread.run_sync(entered.wait, TIMEOUT)
    await single.spawn_cpu_work(event.set)
    assert await job.wait()


async def test_blocking_nested_and_left_twice(single):
    def work():
        with runtime.blocking(), runtime.blocking():
            pass
        with runtime.blocking():
            return from_worker.run(single.spawn_cpu_work, int)

    assert await single.spawn_cpu_work(work) == 0
    assert single.statistics().waiting == 0


async def test_blocking_left_by_an_error_gives_the_place_back(single):
    def work():
        with runtime.blocking():
            raise ValueError("while waiting")

    with pytest.raises(ValueError, match="while waiting"):
        await single.spawn_cpu_work(work)
    assert single.statistics().waiting == 0


async def test_blocking_jobs_are_counted(single, make_gate):
    gate = make_gate()

    def work():
        with runtime.blocking():
            gate.hold()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(single.spawn_cpu_work, work)
        await gate.wait_entered()
        statistics = single.statistics()
        assert (statistics.running, statistics.waiting) == (1, 1)
        assert statistics.worker_count == 1
        assert len(statistics.workers) == 2
        gate.open()


def test_misuse_blocking_outside_a_job_says_what_to_write():
    with pytest.raises(runtime.NotOnWorkerError, match=r"trio\.to_thread\.run_sync"):
        runtime.blocking()


async def test_blocking_in_an_inline_pool_changes_nothing(inline):
    def work():
        with runtime.blocking():
            return 1

    assert await inline.spawn_cpu_work(work) == 1


async def test_blocking_beyond_the_spare_limit_raises_deadlock_error(make_gate):
    gate = make_gate()

    def work():
        with runtime.blocking():
            gate.hold()

    async with runtime.open_worker_pool(1, spare_limit=1) as pool:
        job = await pool.submit(work)
        await gate.wait_entered()
        with pytest.raises(runtime.DeadlockError, match="no thread is left"):
            await pool.spawn_cpu_work(work)
        gate.open()
        await job.wait()


@pytest.mark.parametrize("limit", [-1, 1.5, 10**20])
async def test_misuse_spare_limit(limit):
    with pytest.raises((TypeError, ValueError), match="spare_limit"):
        async with runtime.open_worker_pool(1, spare_limit=limit):
            pass


async def test_pool_of_one_worker_may_call_itself(single):
    def factorial(n):
        if n == 0:
            return 1
        return n * from_worker.run(single.spawn_cpu_work, factorial, n - 1)

    assert await single.spawn_cpu_work(factorial, 20) == 2432902008176640000


async def test_pool_of_one_worker_that_calls_itself_too_deep_raises_deadlock_error():
    async with runtime.open_worker_pool(1, spare_limit=5) as pool:

        def descend():
            from_worker.run(pool.spawn_cpu_work, descend)

        with pytest.raises(runtime.DeadlockError):
            await pool.spawn_cpu_work(descend)
        assert await pool.spawn_cpu_work(int) == 0


@pytest.mark.parametrize("verb", ["spawn_cpu_work", "batch", "submit", "chunked"])
async def test_full_pool_that_calls_itself_waits_for_no_place(verb, make_gate):
    """Every place is held by a job that waits for the next."""
    async with runtime.open_worker_pool(1, queue_capacity=1) as pool:

        async def call(n):
            if verb == "spawn_cpu_work":
                return await pool.spawn_cpu_work(descend, n)
            if verb == "submit":
                return await (await pool.submit(descend, n)).wait()
            if verb == "batch":
                return (await pool.spawn_parallel_batch([n], descend))[0]
            return (await pool.spawn_chunked_parallel([n], 1, descend))[0]

        def descend(n):
            return n if n == 0 else 1 + from_worker.run(call, n - 1)

        assert await pool.spawn_cpu_work(descend, 8) == 8
        # All places were given back: two fit, a third one does not.
        gate = make_gate()
        jobs = [pool.submit_nowait(gate.hold), pool.submit_nowait(int)]
        with pytest.raises(trio.WouldBlock):
            pool.submit_nowait(int)
        gate.open()
        for job in jobs:
            await job.wait()


async def test_task_beside_a_job_s_request_has_to_wait_for_a_place(gate):
    """Only what a job waits for may go beyond the bound."""
    submitted = []

    async def submit_three():
        for _ in range(3):
            submitted.append(await pool.submit(gate.hold))  # noqa: PERF401 - one by one

    async def look():
        nursery.start_soon(submit_three)
        await trio.testing.wait_all_tasks_blocked()
        return len(submitted)

    async with (
        runtime.open_worker_pool(1, queue_capacity=1) as pool,
        trio.open_nursery() as nursery,
    ):
        assert await pool.spawn_cpu_work(from_worker.run, look) == 1
        gate.open()
