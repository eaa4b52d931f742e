"""The ladder: withdraw, token, abandon; on every backend."""

import jobs
import pytest
import trio

import runtime


async def test_a_queued_job_is_withdrawn(single, signals):
    holder = await single.submit(jobs.hold, signals.entered, signals.opened)
    await signals.wait_entered()
    job = await single.submit(jobs.add, 1, 1)
    job.cancel()
    assert job.state is runtime.JobState.WITHDRAWN
    with pytest.raises(runtime.TaskCancelled, match=r"Job\.cancel"):
        await job.wait()
    with trio.move_on_after(0.01) as scope:
        await single.spawn_cpu_work(jobs.add, 1, 1)
    assert scope.cancelled_caught
    signals.open()
    await holder.wait()
    assert single.statistics().jobs_executed == 1
    assert single.statistics().jobs_withdrawn == 2


async def test_the_token_reaches_a_running_job(single, signals):
    job = await single.submit(jobs.spin, signals.entered)
    await signals.wait_entered()
    job.cancel()
    with pytest.raises(runtime.TaskCancelled, match=r"Job\.cancel"):
        await job.wait()


async def test_a_cancelled_caller_sets_the_token(single, signals):
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(single.spawn_cpu_work, jobs.spin, signals.entered)
            await signals.wait_entered()
            scope.cancel()
    assert scope.cancelled_caught
    assert single.statistics().running == 0


async def test_a_value_that_still_arrives_is_returned(single, signals):
    values = []

    async def call():
        values.append(
            await single.spawn_cpu_work(jobs.hold, signals.entered, signals.opened)
        )

    async with trio.open_nursery() as nursery:
        nursery.start_soon(call)
        await signals.wait_entered()
        nursery.cancel_scope.cancel()
        signals.open()
    assert values == [b"o"]


async def test_an_abandoned_job_runs_on(single, signals):
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:

            async def call():
                await single.spawn_cpu_work(
                    jobs.hold, signals.entered, signals.opened, on_cancel="abandon"
                )

            nursery.start_soon(call)
            await signals.wait_entered()
            scope.cancel()
    assert scope.cancelled_caught
    assert single.statistics().abandoned == 1
    signals.open()


async def test_a_job_that_cancels_itself(single):
    with pytest.raises(runtime.TaskCancelled, match="itself"):
        await single.spawn_cpu_work(jobs.cancel_myself)


async def test_outside_a_job_there_is_nothing_to_check(single):
    await single.spawn_cpu_work(jobs.add, 1, 1)
    with pytest.raises(runtime.NotOnWorkerError):
        runtime.check_cancelled()


async def test_cancel_and_finish_race(backend):
    """Whoever wins, the job has one outcome, and each is counted once."""
    async with runtime.open_worker_pool(2, backend=backend) as pool:
        for _ in range(200):
            job = await pool.submit(jobs.add, 1, 1)
            job.cancel()
            try:
                assert await job.wait() == 2
                assert job.state is runtime.JobState.DONE
            except runtime.TaskCancelled:
                assert job.state in (runtime.JobState.WITHDRAWN, runtime.JobState.DONE)
    statistics = pool.statistics()
    assert statistics.in_flight == 0
    assert (
        statistics.jobs_completed + statistics.jobs_failed + (statistics.jobs_withdrawn)
        == 200
    )


async def test_withdrawn_entries_do_not_pile_up(single, signals):
    holder = await single.submit(jobs.hold, signals.entered, signals.opened)
    await signals.wait_entered()
    for _ in range(300):
        (await single.submit(jobs.add, 1, 1)).cancel()
        assert single.statistics().queued <= 2
    signals.open()
    await holder.wait()
