"""One job at a time, on every backend."""

import functools

import jobs
import pytest
import trio

import runtime


async def test_returns_what_the_function_returned(pool):
    assert await pool.spawn_cpu_work(jobs.add, 1, 2) == 3


async def test_builtins_partials_and_methods_run(pool):
    assert await pool.spawn_cpu_work(sorted, (2, 1)) == [1, 2]
    assert await pool.spawn_cpu_work(functools.partial(jobs.add, 1, b=5)) == 6
    assert await pool.spawn_cpu_work(jobs.Accumulator(10).plus, 3) == 13
    assert await pool.spawn_cpu_work("a-b".split, "-") == ["a", "b"]


async def test_many_callers_get_their_own_results(pool):
    results = {}

    async def call(i):
        results[i] = await pool.spawn_cpu_work(jobs.square, i)

    async with trio.open_nursery() as nursery:
        for i in range(300):
            nursery.start_soon(call, i)
    assert results == {i: i * i for i in range(300)}


async def test_error_arrives_as_itself(pool):
    with pytest.raises(ValueError, match=r"^no luck$") as caught:
        await pool.spawn_cpu_work(jobs.fail, "no luck")
    assert type(caught.value) is ValueError
    assert caught.value.args == ("no luck",)


async def test_error_shows_where_it_was_raised(pool, backend):
    with pytest.raises(ValueError, match="no luck") as caught:
        await pool.spawn_cpu_work(jobs.fail, "no luck")
    if backend == "interpreters":
        assert "in fail\n" in str(caught.value.__cause__)
    else:
        assert caught.traceback[-1].name == "fail"


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("exit", SystemExit),
        ("interrupt", KeyboardInterrupt),
        ("memory", MemoryError),
        ("recursion", RecursionError),
        ("surrogate", ValueError),
        ("nul", ValueError),
        ("evil", jobs.Evil),
    ],
)
async def test_no_error_takes_a_worker_down(single, kind, error):
    with pytest.raises(error):
        await single.spawn_cpu_work(jobs.raise_odd, kind)
    assert await single.spawn_cpu_work(jobs.add, 1, 1) == 2


async def test_coroutine_function_is_misuse(pool):
    with pytest.raises(TypeError, match="async"):
        await pool.spawn_cpu_work(jobs.nothing)
    with pytest.raises(TypeError, match="coroutine"):
        await pool.spawn_cpu_work(jobs.make_coroutine)


async def test_context_variables_are_the_callers(pool):
    token = jobs.REQUEST.set("mine")
    try:
        assert await pool.spawn_cpu_work(jobs.read_request) == "mine"
    finally:
        jobs.REQUEST.reset(token)
    assert await pool.spawn_cpu_work(jobs.read_request) == "none"


async def test_submit_returns_a_handle(pool, signals):
    job = await pool.submit(jobs.hold, signals.entered, signals.opened)
    await signals.wait_entered()
    assert job.state is runtime.JobState.RUNNING
    signals.open()
    assert await job.wait() == b"o"
    assert job.state is runtime.JobState.DONE


async def test_submit_nowait_refuses_at_the_bound(backend, signals):
    async with runtime.open_worker_pool(1, backend=backend, queue_capacity=1) as pool:
        pool.submit_nowait(jobs.hold, signals.entered, signals.opened)
        pool.submit_nowait(jobs.add, 1, 1)
        with pytest.raises(trio.WouldBlock):
            pool.submit_nowait(jobs.add, 1, 1)
        signals.open()


async def test_failed_job_that_nobody_waits_for_leaves_the_block(backend):
    with pytest.RaisesGroup(pytest.RaisesExc(ValueError, match="unseen")):
        async with runtime.open_worker_pool(1, backend=backend) as pool:
            await pool.submit(jobs.fail, "unseen")


async def test_urgent_jobs_go_first(single, signals):
    await single.submit(jobs.hold, signals.entered, signals.opened)
    await signals.wait_entered()
    await single.submit(jobs.note, "low", priority=runtime.Priority.LOW)
    await single.submit(jobs.note, "normal")
    await single.submit(jobs.note, "high", priority=runtime.Priority.HIGH)
    signals.open()
    notes = await single.spawn_cpu_work(jobs.take_notes, priority=runtime.Priority.LOW)
    assert notes == ["high", "normal", "low"]


async def test_statistics_count(pool, backend):
    for _ in range(5):
        await pool.spawn_cpu_work(jobs.add, 1, 1)
    with pytest.raises(ValueError, match="x"):
        await pool.spawn_cpu_work(jobs.fail, "x")
    statistics = pool.statistics()
    assert statistics.backend == backend
    assert (statistics.jobs_completed, statistics.jobs_failed) == (5, 1)
    assert statistics.jobs_executed == 6
    assert statistics.run_time.count == 6
    assert (statistics.queued, statistics.running, statistics.in_flight) == (0, 0, 0)


async def test_preload_and_name_are_taken(backend):
    async with runtime.open_worker_pool(
        1, backend=backend, name="x", preload=["colorsys"]
    ) as pool:
        assert await pool.spawn_cpu_work(jobs.add, 1, 1) == 2
    with pytest.raises(runtime.PoolClosedError, match="'x'"):
        await pool.spawn_cpu_work(jobs.add, 1, 1)
