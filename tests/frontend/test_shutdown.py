import logging
import math
from contextlib import asynccontextmanager

import jobs
import pytest
import trio
import trio.testing
from helpers import TIMEOUT, cancelled_after, threads_only, wait_until

import runtime


async def test_shutdown_of_an_idle_pool_reports_nothing(pool):
    assert await pool.shutdown() == runtime.ShutdownReport(0, 0, 0, 0, ())


async def test_shutdown_closes_the_pool(pool):
    await pool.shutdown()
    with pytest.raises(runtime.PoolClosedError):
        await pool.spawn_cpu_work(jobs.double, 1)


@pytest.mark.parametrize("grace", [5.0, math.inf])
async def test_shutdown_waits_for_what_was_accepted(single, gate, grace):
    accepted = [single.submit_nowait(gate.hold), single.submit_nowait(jobs.double, 1)]
    await gate.wait_entered()
    async with trio.open_nursery() as nursery:

        async def open_gate():
            await trio.testing.wait_all_tasks_blocked()
            gate.open()

        nursery.start_soon(open_gate)
        report = await single.shutdown(grace)
    assert report == runtime.ShutdownReport(2, 0, 0, 0, ())
    assert [await job.wait() for job in accepted] == [None, 2]


async def test_shutdown_without_grace_withdraws_and_cancels(
    single, gate, calls, monkeypatch
):
    # A busy machine may not let the job look at its token for a while.
    monkeypatch.setattr("runtime._frontend.shutdown.TOKEN_GRACE", TIMEOUT)
    running = single.submit_nowait(gate.hold_while, runtime.check_cancelled)
    queued = [single.submit_nowait(calls.append, number) for number in range(3)]
    await gate.wait_entered()
    report = await single.shutdown(0)
    assert report == runtime.ShutdownReport(
        completed=0, withdrawn=3, cancelled=1, abandoned=0, still_running=()
    )
    assert list(calls) == []
    for job in (running, *queued):
        with pytest.raises(runtime.TaskCancelled, match=r"by shutdown\(\)"):
            await job.wait()


async def test_shutdown_names_and_leaves_behind_what_does_not_end(
    gate, calls, caplog, open_pool
):
    fn = jobs.hold_and_note
    file, line = fn.__code__.co_filename, fn.__code__.co_firstlineno
    with caplog.at_level(logging.WARNING, logger="runtime"):
        async with open_pool(1, name="mine") as pool:
            job = pool.submit_nowait(fn, gate, calls, name="the stubborn one")
            await gate.wait_entered()
            report = await pool.shutdown(0)
            with pytest.raises(runtime.TaskCancelled):
                await job.wait()
    # The block was left while the job still runs.
    assert list(calls) == []
    (straggler,) = report.still_running
    assert straggler == runtime.Straggler("the stubborn one", file, line)
    assert str(straggler) == f"the stubborn one ({file}:{line})"
    assert f"pool 'mine' leaves a job behind: {straggler}" in caplog.text
    gate.open()  # and the fixture no_leaks sees the thread end


async def test_shutdown_of_a_builtin_that_does_not_end_names_it_alone(gate, open_pool):
    async with open_pool(1) as pool:
        pool.submit_nowait(gate.hold)
        pool.submit_nowait(gate.passes)  # queued, not stuck
        lock_wait = pool.submit_nowait(len, ())
        await gate.wait_entered()
        report = await pool.shutdown(0)
        assert [s.name for s in report.still_running] == ["Gate.hold"]
        assert report.withdrawn == 2
        assert lock_wait.state is runtime.JobState.WITHDRAWN
        gate.open()
    assert str(runtime.Straggler("len", None, None)) == "len"


@pytest.mark.parametrize("waits_again", [True, False])
async def test_shutdown_drops_a_left_behind_jobs_outcome(gate, waits_again, open_pool):
    """It may even end before the block does: nobody hears of it."""
    async with open_pool(1) as pool:
        job = pool.submit_nowait(jobs.hold_and_fail, gate, "dropped")
        await gate.wait_entered()
        await pool.shutdown(0)
        gate.open()
        await wait_until(lambda: pool.statistics().running == 0)
        await trio.testing.wait_all_tasks_blocked()
        if waits_again:
            with pytest.raises(runtime.TaskCancelled):
                await job.wait()


async def test_shutdown_ends_the_wait_of_a_call_that_is_left_behind(single, gate):
    errors = []

    async def ask():
        with pytest.raises(runtime.TaskCancelled) as info:
            await single.spawn_cpu_work(gate.hold)
        errors.append(info.value)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        await gate.wait_entered()
        await single.shutdown(0)
    assert errors[0].job_name == "Gate.hold"
    assert errors[0].reason is runtime.CancelReason.SHUTDOWN
    gate.open()


async def test_shutdown_refuses_who_waits_at_the_bound(gate, open_pool):
    refused = []

    async def late():
        with pytest.raises(runtime.PoolClosedError):
            await pool.submit(jobs.double, 1)
        refused.append(True)

    async with open_pool(1, queue_capacity=1) as pool:
        pool.submit_nowait(gate.hold)
        await gate.wait_entered()
        pool.submit_nowait(jobs.double, 1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(late)
            nursery.start_soon(late)
            await trio.testing.wait_all_tasks_blocked()
            await pool.shutdown(0)
            # The stuck job still holds its place, and they are refused even so.
        assert refused == [True, True]
        gate.open()


@threads_only("the pool itself does not cross")
async def test_shutdown_counts_what_waits_behind_a_stuck_job(single, gate, calls):
    """Its empty entry stays in the stuck worker's own queue, out of reach."""

    def parent():
        single.submit_nowait(calls.append, 1)
        gate.hold()

    single.submit_nowait(parent)
    await gate.wait_entered()
    report = await single.shutdown(0)
    assert report.withdrawn == 1
    assert len(report.still_running) == 1
    gate.open()
    await wait_until(lambda: single.statistics().running == 0)
    assert list(calls) == []


async def test_shutdown_counts_abandoned_jobs(single, gate):
    async with trio.open_nursery() as nursery:
        with trio.CancelScope() as scope:

            async def cancel():
                await gate.wait_entered()
                scope.cancel()

            nursery.start_soon(cancel)
            await single.spawn_cpu_work(gate.hold, on_cancel="abandon")

        async def open_gate():
            await trio.testing.wait_all_tasks_blocked()
            gate.open()

        nursery.start_soon(open_gate)
        report = await single.shutdown()
    assert report == runtime.ShutdownReport(1, 0, 0, 1, ())


async def test_shutdown_counts_what_ends_as_it_begins(single, gate):
    """Work ends while the call is at its first checkpoint, the one at the lock."""

    @asynccontextmanager
    async def lock():
        gate.open()
        await wait_until(lambda: single.statistics().in_flight == 0)
        yield

    single.submit_nowait(gate.hold)
    single._shutdown._lock = lock()
    report = await single.shutdown()
    assert report == runtime.ShutdownReport(1, 0, 0, 0, ())


async def test_shutdown_called_again_reports_from_the_first_call_on(
    single, gate, monkeypatch
):
    """What the first call has cancelled has not completed by itself."""
    monkeypatch.setattr("runtime._frontend.shutdown.TOKEN_GRACE", TIMEOUT)
    single.submit_nowait(gate.hold)
    single.submit_nowait(jobs.double, 1)
    await gate.wait_entered()
    async with cancelled_after(trio.testing.wait_all_tasks_blocked):
        await single.shutdown(0)
    gate.open()
    await wait_until(lambda: single.statistics().in_flight == 0)
    report = await single.shutdown()
    assert report == runtime.ShutdownReport(
        completed=0, withdrawn=1, cancelled=1, abandoned=0, still_running=()
    )


async def test_shutdown_twice_gives_the_same_report(single):
    single.submit_nowait(jobs.double, 1)
    first = await single.shutdown()
    assert await single.shutdown(0) is first


async def test_shutdown_from_two_tasks_gives_both_the_same_report(single, gate):
    reports = []

    async def shut_down():
        reports.append(await single.shutdown())

    single.submit_nowait(gate.hold)
    await gate.wait_entered()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(shut_down)
        nursery.start_soon(shut_down)
        await trio.testing.wait_all_tasks_blocked()
        assert reports == []
        gate.open()
    assert reports[0] is reports[1]
    assert reports[0].completed == 1


def shut_down_in_a_call(pool, grace):
    return pool.spawn_cpu_work(runtime.from_worker.run, pool.shutdown, grace)


async def shut_down_in_a_submitted_job(pool, grace):
    job = await pool.submit(runtime.from_worker.run, pool.shutdown, grace)
    return await job.wait()


async def shut_down_in_a_batch(pool, grace):
    def shut_down(grace):
        return runtime.from_worker.run(pool.shutdown, grace)

    (report,) = await pool.spawn_parallel_batch([grace], shut_down)
    return report


async def shut_down_in_a_map(pool, grace):
    def shut_down(grace):
        return runtime.from_worker.run(pool.shutdown, grace)

    async with pool.map(shut_down, [grace]) as reports:
        return await anext(reports)


async def shut_down_in_the_lane(pool, grace):
    reports = []

    async def shut_down():
        reports.append(await pool.shutdown(grace))

    await pool.spawn(shut_down)
    await wait_until(lambda: reports)
    return reports[0]


FROM_WITHIN = [
    shut_down_in_a_call,
    shut_down_in_a_submitted_job,
    shut_down_in_a_batch,
    shut_down_in_a_map,
    shut_down_in_the_lane,
]
in_threads = threads_only("the pool itself does not cross")


@in_threads
@pytest.mark.parametrize("shut_down", FROM_WITHIN)
@pytest.mark.parametrize("grace", [0, 1e6])
async def test_shutdown_by_work_of_the_pool_leaves_out_its_caller(
    single, shut_down, grace
):
    """It is neither waited for nor cancelled, and it gets the report."""
    report = await shut_down(single, grace)
    assert report == runtime.ShutdownReport(0, 0, 0, 0, ())
    assert await single.shutdown(0) is report
    with pytest.raises(runtime.PoolClosedError):
        await single.spawn_cpu_work(jobs.double, 1)


@in_threads
@pytest.mark.parametrize("shut_down", FROM_WITHIN)
async def test_shutdown_by_work_of_the_pool_cancels_the_rest(
    pool, gate, shut_down, monkeypatch
):
    # A busy machine may not let the job look at its token for a while.
    monkeypatch.setattr("runtime._frontend.shutdown.TOKEN_GRACE", TIMEOUT)
    pool.submit_nowait(gate.hold_while, runtime.check_cancelled)
    await gate.wait_entered()
    assert await shut_down(pool, 0) == runtime.ShutdownReport(0, 0, 1, 0, ())


async def test_shutdown_by_two_tasks_of_the_lane_at_once_gives_both_the_report(pool):
    reports = []

    async def shut_down():
        reports.append(await pool.shutdown(1e6))

    for _ in range(2):
        await pool.spawn(shut_down)
    await wait_until(lambda: len(reports) == 2)
    assert reports[0] is reports[1]


async def test_shutdown_by_the_lane_is_waited_for_by_the_block(open_pool):
    ended = []
    async with open_pool(1) as pool:

        async def shut_down():
            await pool.shutdown(0)
            await trio.testing.wait_all_tasks_blocked()
            ended.append(True)

        await pool.spawn(shut_down)
    assert ended == [True]


async def test_shutdown_asked_for_again_with_less_grace_takes_less(single, gate):
    reports = []

    async def shut_down(grace):
        reports.append(await single.shutdown(grace))

    single.submit_nowait(gate.hold_while, runtime.check_cancelled)
    await gate.wait_entered()
    async with trio.open_nursery() as nursery:
        for grace in (1e6, 0, 1e6):
            nursery.start_soon(shut_down, grace)
            await trio.testing.wait_all_tasks_blocked()
    assert [report.cancelled for report in reports] == [1, 1, 1]


async def test_shutdown_cancels_the_lane_after_the_grace(single):
    cancelled = []

    async def wait():
        try:
            await trio.sleep_forever()
        finally:
            cancelled.append(True)

    await single.spawn(wait)
    await single.shutdown(0)
    assert cancelled == [True]


async def test_shutdown_cancelled_can_be_called_again(single, gate):
    single.submit_nowait(gate.hold)
    await gate.wait_entered()
    with trio.move_on_after(0.001) as scope:
        await single.shutdown()
    assert scope.cancelled_caught
    gate.open()
    await wait_until(lambda: single.statistics().in_flight == 0)
    assert (await single.shutdown()).still_running == ()


@pytest.mark.parametrize("grace", [-1, math.nan, "5", None])
async def test_misuse_shutdown_grace(pool, grace):
    with pytest.raises((ValueError, TypeError), match="grace must be a"):
        await pool.shutdown(grace)


async def test_shutdown_of_the_inline_pool_withdraws_what_waits(inline):
    calls = []
    for number in range(50):  # it runs one for each step of the Trio loop
        inline.submit_nowait(calls.append, number)
    report = await inline.shutdown(0)
    assert report.withdrawn > 0
    assert calls == list(range(50 - report.withdrawn))


@in_threads
async def test_misuse_endless_shutdown_by_the_pools_own_work(pool):
    async def shut_down():
        with pytest.raises(runtime.DeadlockError, match=r"give a finite grace"):
            await pool.shutdown(math.inf)
        seen.append("refused")

    seen = []
    await pool.spawn(shut_down)
    await pool.spawn_cpu_work(runtime.from_worker.run, shut_down)
    await trio.testing.wait_all_tasks_blocked()
    assert seen == ["refused", "refused"]
