import jobs
import pytest
import trio
import trio.testing
from helpers import run_threaded, threads_only, wait_until

import runtime
from runtime import JobState


async def test_job_wait_returns_the_value(pool):
    job = await pool.submit(jobs.double, 21)
    assert await job.wait() == 42
    assert await job.wait() == 42  # and after the end
    assert job.state is JobState.DONE


async def test_job_wait_raises_the_jobs_error(pool):
    job = await pool.submit(jobs.fail, "from the job")
    with pytest.raises(ValueError, match="from the job"):
        await job.wait()


async def test_job_wait_gives_each_waiter_the_jobs_own_traceback(pool, backend):
    """And not what the waiters before it have added."""
    job = await pool.submit(jobs.fail, "from the job")
    depths = []
    for _ in range(3):
        with pytest.raises(ValueError, match="from the job") as info:
            await job.wait()
        if backend == "threads":
            assert info.traceback[-1].name == "fail"
        depths.append(len(info.traceback))
    assert len(set(depths)) == 1


def test_job_shows_what_users_may_call_and_nothing_else():
    public = [name for name in dir(runtime.Job) if not name.startswith("_")]
    assert public == ["cancel", "name", "result", "state", "wait"]


async def test_job_wait_and_submit_are_checkpoints(pool):
    with trio.testing.assert_checkpoints():
        job = await pool.submit(jobs.double, 1)
    with trio.testing.assert_checkpoints():
        await job.wait()
    with trio.testing.assert_checkpoints():
        await job.wait()


async def test_job_several_tasks_wait_and_all_get_the_value(pool, gate):
    job = pool.submit_nowait(gate.hold, "one for all")
    values = []

    async def wait():
        values.append(await job.wait())

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        assert values == []
        gate.open()
    assert values == ["one for all"] * 3


async def test_job_state_follows_its_life(single, gate):
    running = single.submit_nowait(gate.hold)
    queued = single.submit_nowait(jobs.double, 1)
    await gate.wait_entered()
    assert running.state is JobState.RUNNING
    assert queued.state is JobState.QUEUED
    queued.cancel()
    assert queued.state is JobState.WITHDRAWN
    gate.open()
    await running.wait()
    assert running.state is JobState.DONE


async def test_job_repr_names_job_and_state(single, gate):
    job = single.submit_nowait(gate.hold, name="the long one")
    await gate.wait_entered()
    assert repr(job) == "<runtime.Job 'the long one' running>"
    gate.open()


async def test_job_name_is_the_functions_by_default(pool):
    job = await pool.submit(jobs.double, 1)
    assert job.name == "double"


async def test_job_context_is_the_submitters(pool):
    jobs.REQUEST.set("mine")
    job = await pool.submit(jobs.read_request)
    jobs.REQUEST.set("too late")
    assert await job.wait() == "mine"


# Cancelling


async def test_job_cancel_queued_never_calls_fn(single, gate, calls):
    single.submit_nowait(gate.hold)
    job = single.submit_nowait(calls.append, 1)
    job.cancel()
    with pytest.raises(runtime.TaskCancelled, match=r"'.*append'.*by Job\.cancel\(\)"):
        await job.wait()
    gate.open()
    await wait_until(lambda: single.statistics().in_flight == 0)
    assert list(calls) == []
    assert single.statistics().jobs_withdrawn == 1


async def test_job_cancel_running_sets_its_token(single, gate):
    job = single.submit_nowait(gate.hold_while, runtime.check_cancelled)
    await gate.wait_entered()
    job.cancel()
    with pytest.raises(runtime.TaskCancelled, match=r"by Job\.cancel\(\)"):
        await job.wait()
    assert job.state is JobState.DONE


async def test_job_cancel_running_that_does_not_look_keeps_its_value(single, gate):
    job = single.submit_nowait(gate.hold, "value")
    await gate.wait_entered()
    job.cancel()
    gate.open()
    assert await job.wait() == "value"


async def test_job_cancel_after_the_end_changes_nothing(pool):
    job = await pool.submit(jobs.double, 1)
    await job.wait()
    job.cancel()
    assert await job.wait() == 2
    assert job.state is JobState.DONE


async def test_job_goes_on_when_its_waiter_is_cancelled(single, gate):
    job = single.submit_nowait(gate.hold, "value")
    await gate.wait_entered()
    with trio.move_on_after(0) as scope:
        await job.wait()
    assert scope.cancelled_caught
    assert job.state is JobState.RUNNING
    gate.open()
    assert await job.wait() == "value"


async def test_job_cancelled_and_not_waited_for_is_no_error(gate, open_pool):
    async with open_pool(1) as pool:
        running = pool.submit_nowait(gate.hold_while, runtime.check_cancelled)
        queued = pool.submit_nowait(jobs.double, 1)
        await gate.wait_entered()
        running.cancel()
        queued.cancel()


# Errors nobody waited for


async def test_job_unretrieved_error_leaves_the_block_in_a_group(open_pool):
    with pytest.raises(ExceptionGroup, match="in pool 'mine'") as info:
        async with open_pool(1, name="mine") as pool:
            pool.submit_nowait(jobs.fail, "from the job")
    (error,) = info.value.exceptions
    assert isinstance(error, ValueError)
    assert str(error) == "from the job"


async def test_job_unretrieved_errors_leave_together_with_the_blocks_own(open_pool):
    with pytest.raises(ExceptionGroup) as info:
        async with open_pool(1) as pool:
            job = pool.submit_nowait(jobs.fail, "from the job")
            await wait_until(lambda: job.state is JobState.DONE)
            await wait_until(lambda: pool.statistics().in_flight == 0)
            raise KeyError("the block's")
    assert [type(error) for error in info.value.exceptions] == [KeyError, ValueError]


async def test_job_retrieved_error_stays_with_who_waited(pool, open_pool):
    async with open_pool(1) as pool:
        job = await pool.submit(jobs.fail, "from the job")
        with pytest.raises(ValueError, match="from the job"):
            await job.wait()


# From inside a job

in_threads = threads_only("the pool itself does not cross")


@in_threads
async def test_submit_nowait_inside_a_job_never_waits_for_a_place(open_pool):
    async with open_pool(1, queue_capacity=1) as pool:

        def parent():
            return [pool.submit_nowait(jobs.double, number) for number in range(20)]

        submitted = await pool.spawn_cpu_work(parent)
        assert [await job.wait() for job in submitted] == [2 * n for n in range(20)]
        # And none of them has given back a place it did not hold.
        assert pool._intake.places._free == 2


@in_threads
async def test_submit_nowait_inside_a_job_keeps_the_block_open(open_pool):
    ended = []

    async with open_pool(2) as pool:

        def child(depth):
            if depth:
                pool.submit_nowait(child, depth - 1)
            else:
                ended.append(True)

        pool.submit_nowait(child, 50)
    assert ended == [True]


@in_threads
async def test_submit_nowait_in_a_chain_ends_when_the_block_is_cancelled(open_pool):
    """Jobs that submit their successors must not keep a cancelled pool open."""
    calls = []
    with trio.CancelScope() as scope:
        async with open_pool(1) as pool:

            def forever():
                calls.append(1)
                pool.submit_nowait(forever)

            pool.submit_nowait(forever)
            await wait_until(lambda: len(calls) > 3)
            scope.cancel()
            await trio.sleep_forever()
    assert scope.cancelled_caught


@in_threads
async def test_submit_nowait_inside_a_job_of_a_cancelled_pool_ends_the_job(
    gate, open_pool
):
    refused = []
    with pytest.raises(KeyError):
        async with open_pool(1) as pool:

            def parent():
                try:
                    gate.hold_while(runtime.check_cancelled)
                except runtime.JobCancelled:
                    with pytest.raises(runtime.JobCancelled):
                        pool.submit_nowait(jobs.double, 1)
                    refused.append(True)

            pool.submit_nowait(parent)
            await gate.wait_entered()
            raise KeyError
    assert refused == [True]


@in_threads
async def test_submit_nowait_to_another_pool_from_inside_a_job_is_refused_a_thread(
    open_pool,
):
    async with (
        open_pool(1) as outer,
        open_pool(1) as inner,
    ):

        def ask():
            return runtime.from_worker.run(inner.spawn_cpu_work, jobs.double, 4)

        assert await outer.spawn_cpu_work(ask) == 8


# The bound


async def test_submit_nowait_at_the_bound_would_block(gate, open_pool):
    async with open_pool(1, queue_capacity=2) as pool:
        pool.submit_nowait(gate.hold)
        pool.submit_nowait(jobs.double, 1)
        pool.submit_nowait(jobs.double, 2)
        with pytest.raises(trio.WouldBlock):
            pool.submit_nowait(jobs.double, 3)
        gate.open()


async def test_submit_at_the_bound_waits_in_order(manual):
    order = []
    for number in range(11):  # one of them counts as running
        manual.pool.submit_nowait(order.append, number)
    async with trio.open_nursery() as nursery:
        for number in range(11, 15):
            nursery.start_soon(manual.pool.submit, order.append, number)
            await trio.testing.wait_all_tasks_blocked()
        for _ in range(15):
            assert manual.backend.step()
            await trio.testing.wait_all_tasks_blocked()
    assert order == list(range(15))


async def test_submit_cancelled_at_the_bound_gives_nothing_up(gate, calls, open_pool):
    async with open_pool(1, queue_capacity=1) as pool:
        pool.submit_nowait(gate.hold)
        pool.submit_nowait(jobs.double, 1)
        with trio.move_on_after(0) as scope:
            await pool.submit(calls.append, 1)
        assert scope.cancelled_caught
        gate.open()
        await wait_until(lambda: pool.statistics().in_flight == 0)
        assert pool._intake.places._free == 2
    assert list(calls) == []


async def test_submit_waiting_at_the_bound_when_the_block_ends_is_refused(
    gate, open_pool
):
    refused = []

    async def late(pool):
        with pytest.raises(runtime.PoolClosedError):
            await pool.submit(jobs.double, 1)
        refused.append(True)

    async with (
        trio.open_nursery() as nursery,
        open_pool(1, queue_capacity=1) as pool,
    ):
        pool.submit_nowait(gate.hold)
        pool.submit_nowait(jobs.double, 1)
        nursery.start_soon(late, pool)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(trio.to_thread.run_sync, gate.open)
    assert refused == [True]


async def test_race_cancel_vs_run_ends_in_one_of_two_ways(calls, open_pool):
    """One claim decides between a worker and a canceller.

    1. a job is submitted; 2. a worker takes it while the Trio thread cancels it;
    3. either fn ran once and its value arrives, or it never ran.
    """
    async with open_pool(2) as pool:
        for number in range(300):
            job = pool.submit_nowait(calls.append, number)
            job.cancel()
            try:
                await job.wait()
            except runtime.TaskCancelled:
                assert list(calls)[-1:] != [number]
            else:
                assert list(calls)[-1] == number
        assert len(set(calls)) == len(list(calls))
        # The empty entry of the last one may still be on its way out.
        await wait_until(lambda: pool.statistics().in_flight == 0)
        now = pool.statistics()
    # Cancelled between claim and call, in an interpreter: failed, and never ran.
    assert now.jobs_completed + now.jobs_failed + now.jobs_withdrawn == 300
    assert now.jobs_completed == len(list(calls))


async def test_job_state_can_be_read_from_any_thread(pool):
    job = await pool.submit(jobs.double, 1)
    await job.wait()
    states = run_threaded(lambda: job.state, lambda: job.state)
    assert states == [JobState.DONE, JobState.DONE]
