import math
import threading
from functools import partial

import jobs
import pytest
import trio
import trio.testing
from helpers import cancelled_after, threads_only, wait_until, white_box

import runtime
from runtime._util import available_cores

# Opening


async def test_pool_default_size_is_the_cores_this_process_may_use(open_pool):
    async with open_pool() as pool:
        assert pool.worker_count == available_cores()
        assert pool.name.startswith("pool-")


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"worker_count": 0}, ValueError, "worker_count must be at least 1, not 0"),
        ({"worker_count": 10**20}, ValueError, "worker_count must be at most 9"),
        ({"max_jobs_per_worker": 10**20}, ValueError, "max_jobs_per_worker must be at"),
        ({"worker_count": 1.5}, TypeError, "worker_count must be an int, not 1.5"),
        ({"worker_count": True}, TypeError, "worker_count must be an int, not True"),
        ({"queue_capacity": 0}, ValueError, "queue_capacity must be at least 1, not 0"),
        ({"queue_capacity": "9"}, TypeError, "queue_capacity must be an int, not '9'"),
        (
            {"backend": "rockets"},
            ValueError,
            "backend must be one of 'auto', 'threads'",
        ),
        ({"backend": "threads", "initializer": print}, ValueError, "initializer"),
        ({"initializer": 3}, TypeError, "initializer must be a function, not 3"),
        ({"preload": "json"}, TypeError, "preload must be a list of names, not 'json'"),
        ({"preload": [3]}, TypeError, "preload must be a list of names, not "),
        ({"preload": 3}, TypeError, "preload must be a list of names, not 3"),
    ],
)
async def test_misuse_open_worker_pool_says_what_is_wrong(arguments, kind, message):
    with pytest.raises(kind, match=message):
        async with runtime.open_worker_pool(**arguments):
            pass


async def test_pool_repr_names_it_and_tells_its_state(open_pool):
    async with open_pool(2, name="mine") as pool:
        assert repr(pool) == "<runtime.WorkerPool 'mine' open, 2 workers>"
    assert repr(pool) == "<runtime.WorkerPool 'mine' closed, 2 workers>"


@pytest.mark.usefixtures("fresh_interpreters")
async def test_pool_whose_threads_do_not_start_leaves_nothing(open_pool, monkeypatch):
    real_start, started = threading.Thread.start, []

    def second_fails(thread):
        if not thread.name.startswith("runtime-"):
            return real_start(thread)
        if started:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        return real_start(thread)

    monkeypatch.setattr(threading.Thread, "start", second_fails)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        async with open_pool(2):
            pytest.fail("the block must not begin")
    assert len(started) == 1


# Leaving the block


async def test_pool_preloads_modules(open_pool):
    async with open_pool(1, preload=["colorsys"]) as pool:
        assert await pool.spawn_cpu_work(jobs.is_imported, "colorsys")


async def test_pool_block_left_idle_ends_the_threads(open_pool):
    async with open_pool(2):
        pass  # the fixture no_leaks looks for the threads


async def test_pool_block_left_busy_waits_for_every_job(gate, calls, open_pool):
    async with trio.open_nursery() as nursery:
        async with open_pool(2) as pool:
            for number in range(10):
                note = partial(calls.append, number)
                pool.submit_nowait(jobs.in_turn, gate.hold, note)
            await gate.wait_entered()

            async def open_gate():
                await trio.testing.wait_all_tasks_blocked()
                assert list(calls) == []
                gate.open()

            nursery.start_soon(open_gate)
        assert sorted(calls) == list(range(10))


async def test_pool_after_its_block_is_closed_for_everything(open_pool):
    async with open_pool(1, name="mine") as pool:
        pass
    for use in (
        lambda: pool.spawn_cpu_work(jobs.double, 1),
        lambda: pool.submit(jobs.double, 1),
        lambda: pool.spawn_parallel_batch([1], jobs.double),
        lambda: pool.spawn_chunked_parallel([1], 1, list),
        lambda: pool.spawn(trio.sleep, 0),
    ):
        with pytest.raises(runtime.PoolClosedError, match="pool 'mine' is closed"):
            await use()
    with pytest.raises(runtime.PoolClosedError):
        pool.submit_nowait(jobs.double, 1)
    with pytest.raises(runtime.PoolClosedError):
        pool.spawn_nowait(trio.sleep, 0)
    assert isinstance(runtime.PoolClosedError("x"), RuntimeError)


async def test_pool_block_left_by_an_error_raises_it_unwrapped(open_pool):
    error = KeyError("the block's")
    with pytest.raises(KeyError) as info:
        async with open_pool(1) as pool:
            pool.submit_nowait(jobs.double, 1)
            raise error
    assert info.value is error
    assert error.__cause__ is None
    assert error.__context__ is None


async def test_pool_block_left_by_a_batchs_group_raises_it_unwrapped(open_pool):
    """Trio's nurseries rebuild a group that passes through a cancelled one."""
    with pytest.raises(ExceptionGroup, match="batch of 1") as info:
        async with open_pool(1) as pool:
            await pool.spawn_parallel_batch([1], jobs.fail)
    assert [type(error) for error in info.value.exceptions] == [ValueError]


async def test_pool_block_left_by_an_error_withdraws_and_tells(gate, calls, open_pool):
    with pytest.raises(KeyError):
        async with open_pool(1) as pool:
            running = pool.submit_nowait(gate.hold_while, runtime.check_cancelled)
            queued = pool.submit_nowait(calls.append, 1)
            await gate.wait_entered()
            raise KeyError
    assert not gate.is_open
    assert list(calls) == []
    assert running.state is runtime.JobState.DONE
    assert queued.state is runtime.JobState.WITHDRAWN
    with pytest.raises(runtime.TaskCancelled, match="whose block was left early"):
        await queued.wait()


async def test_pool_cancel_stops_the_newest_work_first(manual):
    """Else the end of what runs would let a queued job begin, and run."""
    order = []

    class FakeWork:
        token = None

        def stop(self, reason):
            order.append(self)

    intake = manual.pool._intake
    works = [FakeWork() for _ in range(5)]
    for work in works:
        intake.track(work)
    intake.cancel(runtime.CancelReason.SHUTDOWN)
    intake.work.clear()
    assert order == works[::-1]


async def test_pool_block_cancelled_withdraws_and_tells(gate, calls, open_pool):
    with trio.CancelScope() as scope:
        async with open_pool(1) as pool:
            pool.submit_nowait(gate.hold_while, runtime.check_cancelled)
            pool.submit_nowait(calls.append, 1)
            await gate.wait_entered()
            scope.cancel()
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert not gate.is_open
    assert list(calls) == []


async def test_pool_block_cancelled_waits_for_what_does_not_look(gate, open_pool):
    async with (
        cancelled_after(gate.wait_entered, opens=gate) as scope,
        open_pool(1) as pool,
    ):
        job = pool.submit_nowait(gate.hold)
        await trio.sleep_forever()
    assert scope.cancelled_caught
    assert job.state is runtime.JobState.DONE


async def test_pool_block_cancelled_while_it_drains(gate, open_pool):
    async def wait_drains():
        await gate.wait_entered()
        await trio.testing.wait_all_tasks_blocked()

    async with (
        cancelled_after(wait_drains) as scope,
        open_pool(1) as pool,
    ):
        pool.submit_nowait(gate.hold_while, runtime.check_cancelled)
    assert scope.cancelled_caught


async def test_pool_block_cancelled_with_an_unretrieved_error_raises_the_error(
    open_pool,
):
    with pytest.raises(ExceptionGroup) as info, trio.CancelScope() as scope:
        async with open_pool(1) as pool:
            pool.submit_nowait(jobs.fail, "from the job")
            await wait_until(lambda: pool.statistics().jobs_failed == 1)
            scope.cancel()
            await trio.sleep_forever()
    assert [type(error) for error in info.value.exceptions] == [ValueError]


async def test_pool_block_left_by_keyboard_interrupt_raises_it_unwrapped(
    gate, open_pool
):
    with pytest.raises(KeyboardInterrupt):
        async with open_pool(1) as pool:
            pool.submit_nowait(gate.hold_while, runtime.check_cancelled)
            await gate.wait_entered()
            raise KeyboardInterrupt


async def test_pool_waiter_outside_the_block_gets_task_cancelled(gate, open_pool):
    """Its own scope is not cancelled, so it must not get `trio.Cancelled`."""
    errors = []

    async def ask(pool):
        with pytest.raises(runtime.TaskCancelled, match="block was left early") as info:
            await pool.spawn_cpu_work(jobs.double, 1)
        errors.append(info.value)

    async with trio.open_nursery() as nursery:
        with pytest.raises(KeyError):
            async with open_pool(1) as pool:
                pool.submit_nowait(gate.hold_while, runtime.check_cancelled)
                await gate.wait_entered()
                nursery.start_soon(ask, pool)
                await trio.testing.wait_all_tasks_blocked()
                raise KeyError
    assert len(errors) == 1


# Nesting

in_threads = threads_only("the pool itself does not cross")


@in_threads
async def test_nested_call_from_a_job_of_a_busy_pool(pool):
    def parent():
        return runtime.from_worker.run(pool.spawn_cpu_work, jobs.double, 21)

    assert await pool.spawn_cpu_work(parent) == 42


@in_threads
async def test_nested_two_pools_call_each_other(open_pool):
    async with (
        open_pool(1) as left,
        open_pool(1) as right,
    ):

        def ask_right(x):
            return runtime.from_worker.run(right.spawn_cpu_work, ask_nobody, x)

        def ask_nobody(x):
            return x + 1

        def ask_left(x):
            return runtime.from_worker.run(left.spawn_cpu_work, ask_nobody, x)

        assert await left.spawn_cpu_work(ask_right, 1) == 2
        assert await right.spawn_cpu_work(ask_left, 1) == 2


@in_threads
async def test_nested_call_of_a_pool_that_is_closing_still_works(gate, open_pool):
    """What was accepted may use its pool until it is done."""
    answers = []

    async with trio.open_nursery() as nursery, open_pool(2) as pool:

        def parent():
            gate.hold()
            answers.append(runtime.from_worker.run(pool.spawn_cpu_work, jobs.double, 4))

        pool.submit_nowait(parent)
        await gate.wait_entered()

        async def open_gate():
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(runtime.PoolClosedError):
                await pool.spawn_cpu_work(jobs.double, 1)
            gate.open()

        nursery.start_soon(open_gate)
    assert answers == [8]


# A bug of ours


class Bug(Exception):
    pass


@white_box
@threads_only("breaks the loop of a thread; tests/backends breaks interpreters")
async def test_worker_failure_closes_the_pool_loudly(monkeypatch, open_pool):
    from runtime._core import Worker

    def fail_in_the_scheduler(self, job):
        raise Bug

    async def ask(pool):
        with pytest.raises(runtime.InternalError) as info:
            await pool.spawn_cpu_work(jobs.double, 1)
        errors.append(info.value)
        with pytest.raises(runtime.InternalError):
            await pool.spawn_cpu_work(jobs.double, 1)

    errors = []
    async with trio.open_nursery() as nursery:
        with pytest.raises(runtime.InternalError, match="report this as a bug") as info:
            async with open_pool(2) as pool:
                monkeypatch.setattr(Worker, "execute", fail_in_the_scheduler)
                nursery.start_soon(ask, pool)
                await trio.sleep_forever()
    assert type(info.value.__cause__) is Bug
    assert errors == [info.value]


@white_box
@threads_only("breaks the loop of a thread; tests/backends breaks interpreters")
async def test_worker_failure_reaches_who_waits_in_the_block(monkeypatch, open_pool):
    from runtime._core import Worker

    def fail_in_the_scheduler(self, job):
        raise Bug

    with pytest.raises(runtime.InternalError):
        async with open_pool(1) as pool:
            monkeypatch.setattr(Worker, "execute", fail_in_the_scheduler)
            await pool.spawn_parallel_batch(range(10), jobs.double)


# Statistics


async def test_statistics_count_what_was_done(pool, gate, backend):
    await pool.spawn_cpu_work(jobs.double, 1)
    with pytest.raises(ValueError, match="from the job"):
        await pool.spawn_cpu_work(jobs.fail, "from the job")
    pool.submit_nowait(gate.hold)
    await gate.wait_entered()
    now = pool.statistics()
    assert (now.name, now.worker_count, now.backend) == ("test", 2, backend)
    assert now.core == runtime.lowlevel.core
    assert (now.jobs_completed, now.jobs_failed, now.jobs_withdrawn) == (1, 1, 0)
    assert (now.in_flight, now.running, now.queued, now.abandoned) == (1, 1, 0, 0)
    assert now.jobs_executed == 2
    assert [worker.worker_index for worker in now.workers] == [0, 1]
    assert now.queue_latency.count == now.run_time.count == 2
    assert 0 < now.run_time.quantile_ns(0.5) <= now.run_time.quantile_ns(0.99)
    assert 0 <= now.utilization_ratio <= 1
    assert 0 <= now.jobs_stolen <= now.jobs_executed
    gate.open()
    await wait_until(lambda: pool.statistics().jobs_completed == 2)


async def test_statistics_of_a_fresh_pool_are_zero(inline):
    now = inline.statistics()
    assert now.utilization_ratio == 0
    assert now.queue_latency.count == 0
    assert now.queue_latency.quantile_ns(0.5) == 0
    with pytest.raises(ValueError, match="between 0 and 1"):
        now.queue_latency.quantile_ns(math.inf)


async def test_statistics_are_frozen(inline):
    with pytest.raises(AttributeError):
        inline.statistics().queued = 5
