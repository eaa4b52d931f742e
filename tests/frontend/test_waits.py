"""Jobs that wait for jobs: what is a cycle, and what only looks like one."""

import pytest
import trio
import trio.testing

import runtime
from runtime import from_worker

pytestmark = pytest.mark.threads_only("a handle of a job does not cross")


async def test_job_that_waits_for_itself_raises_deadlock_error(pool, make_gate):
    jobs = []
    gate = make_gate()

    def work():
        gate.hold()
        return jobs[0].result()

    jobs.append(await pool.submit(work, name="selfish"))
    gate.open()
    with pytest.raises(runtime.DeadlockError, match="'selfish' cannot wait for itself"):
        await jobs[0].wait()


@pytest.mark.parametrize("count", [2, 3])
async def test_jobs_that_wait_for_each_other_raise_deadlock_error(
    pool, count, make_gate
):
    gate, jobs, caught = make_gate(), [], []

    def work(index):
        gate.hold()
        try:
            return jobs[(index + 1) % count].result()
        except runtime.DeadlockError as error:
            caught.append((index, str(error)))
            return "free"

    for index in range(count):
        jobs += [await pool.submit(work, index, name=f"job {index}")]
    gate.open()
    assert [await job.wait() for job in jobs] == ["free"] * count
    ((index, message),) = caught
    this, that = f"job {index}", f"job {(index + 1) % count}"
    assert message == f"job {this!r} cannot wait for job {that!r}, which waits for it"


async def test_cycle_through_a_call_is_found(pool, make_gate):
    """A job waits for a call whose job waits for the first."""
    jobs, gate = [], make_gate()

    def inner():
        return jobs[0].result()

    def outer():
        gate.hold()
        return from_worker.run(pool.spawn_cpu_work, inner)

    jobs.append(await pool.submit(outer, name="outer"))
    gate.open()
    with pytest.raises(runtime.DeadlockError, match=r"inner' cannot .* 'outer', which"):
        await jobs[0].wait()


async def test_cycle_through_a_batch_is_found(pool, make_gate):
    jobs, gate = [], make_gate()

    def item(_):
        return jobs[0].result()

    def outer():
        gate.hold()
        return from_worker.run(pool.spawn_parallel_batch, [0], item)

    jobs.append(await pool.submit(outer, name="outer"))
    gate.open()
    with pytest.raises(ExceptionGroup) as info:
        await jobs[0].wait()
    (error,) = info.value.exceptions
    assert "job 'batch of 1 x " in str(error)
    assert isinstance(error, runtime.DeadlockError)


async def test_cycle_through_a_map_is_found(pool, make_gate):
    jobs, gate = [], make_gate()

    def item(_):
        return jobs[0].result()

    async def use_map():
        async with pool.map(item, [0]) as results:
            return [result async for result in results]

    def outer():
        gate.hold()
        return from_worker.run(use_map)

    jobs.append(await pool.submit(outer, name="outer"))
    gate.open()
    with pytest.raises(ExceptionGroup) as info:
        await jobs[0].wait()
    assert info.group_contains(runtime.DeadlockError)


async def test_cycle_through_a_child_task_is_found(pool, make_gate):
    jobs, gate = [], make_gate()

    async def in_a_child():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(jobs[0].wait)

    def work():
        gate.hold()
        from_worker.run(in_a_child)

    jobs.append(await pool.submit(work))
    gate.open()
    with pytest.raises(ExceptionGroup) as info:
        await jobs[0].wait()
    assert info.group_contains(runtime.DeadlockError)


async def test_task_that_outlives_the_request_is_no_cycle(pool, make_gate):
    jobs, gate, values, started = [], make_gate(), [], trio.Event()

    async def note_value():
        values.append(await jobs[0].wait())

    async with trio.open_nursery() as nursery:

        async def start():
            nursery.start_soon(note_value)
            await trio.testing.wait_all_tasks_blocked()
            started.set()

        def work():
            gate.hold()
            from_worker.run(start)
            return "done"

        jobs.append(await pool.submit(work))
        gate.open()
        await started.wait()
    assert values == ["done"]


async def test_task_beside_the_request_is_no_cycle(pool, make_gate):
    """A sibling of the host waits for a job that waits for the host's own."""
    jobs, gate = [], make_gate()
    go_on = trio.Event()

    async def sibling():
        values.append(await jobs[0].wait())

    values = []

    def first():
        gate.hold()
        from_worker.run(go_on.wait)
        return "first"

    async def open_and_wait():
        await trio.testing.wait_all_tasks_blocked()
        go_on.set()

    def hosted():
        gate.open()
        from_worker.run(open_and_wait)

    async with trio.open_nursery() as nursery:
        jobs.append(await pool.submit(first))
        nursery.start_soon(sibling)
        await pool.spawn_cpu_work(hosted)
    assert values == ["first"]


async def test_job_may_wait_for_one_that_is_over(pool):
    job = await pool.submit(int)
    assert await job.wait() == 0
    assert await pool.spawn_cpu_work(job.result) == 0


async def test_result_raises_the_job_s_error(pool):
    def fail():
        raise ValueError("from the job")

    job = await pool.submit(fail)
    with pytest.raises(ValueError, match="from the job"):
        await pool.spawn_cpu_work(job.result)


async def test_result_of_jobs_submitted_inside_a_job_of_one_worker(single):
    def fan_out():
        jobs = [single.submit_nowait(pow, 2, n) for n in range(5)]
        return [job.result() for job in jobs]

    assert await single.spawn_cpu_work(fan_out) == [1, 2, 4, 8, 16]


async def test_misuse_result_outside_a_job_says_what_to_write(pool):
    job = await pool.submit(int)
    with pytest.raises(runtime.NotOnWorkerError, match=r"await job.wait\(\)"):
        job.result()
    await job.wait()


async def test_nothing_is_noted_when_all_is_over(pool):
    from runtime._frontend import waits

    def work():
        from_worker.run(trio.lowlevel.checkpoint)

    job = await pool.submit(work)
    await job.wait()
    await pool.spawn_cpu_work(work)
    assert not waits._requests
