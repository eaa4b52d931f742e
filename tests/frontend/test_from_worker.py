import contextvars
import threading

import pytest
import sniffio
import trio
import trio.testing
from helpers import TIMEOUT, wait_until

import runtime
from runtime import from_worker

pytestmark = pytest.mark.threads_only("see tests/backends/test_from_worker.py")

variable = contextvars.ContextVar("variable", default="unset")


async def async_double(x):
    await trio.lowlevel.checkpoint()
    return 2 * x


async def async_fail():
    await trio.lowlevel.checkpoint()
    raise ValueError("from Trio")


async def test_run_returns_what_the_async_function_returned(pool):
    assert await pool.spawn_cpu_work(from_worker.run, async_double, 21) == 42


async def test_run_sync_runs_in_the_trio_thread(pool):
    ident = await pool.spawn_cpu_work(from_worker.run_sync, threading.get_ident)
    assert ident == threading.get_ident()


async def test_run_raises_what_the_async_function_raised(pool):
    def work():
        with pytest.raises(ValueError, match="from Trio"):
            from_worker.run(async_fail)
        return "went on"

    assert await pool.spawn_cpu_work(work) == "went on"


async def test_run_runs_in_the_waiting_task(pool):
    async def current():
        return trio.lowlevel.current_task()

    task = await pool.spawn_cpu_work(from_worker.run, current)
    assert task is trio.lowlevel.current_task()


async def test_run_asked_for_during_the_poll_runs_in_the_waiting_task(
    pool, monkeypatch
):
    """The request comes before its task has parked.

    1. the task injects its job and polls for long; 2. the job asks and waits; 3. the
    poll ends without an answer, and the task finds the request.
    """
    monkeypatch.setattr("runtime._core.Registry.is_anyone_idle", lambda _: True)
    monkeypatch.setattr("runtime._frontend.call.MAX_POLLS", 5000)

    async def current():
        return trio.lowlevel.current_task()

    task = await pool.spawn_cpu_work(from_worker.run, current)
    assert task is trio.lowlevel.current_task()


async def test_run_several_times_in_one_job(pool):
    def work():
        return [from_worker.run(async_double, number) for number in range(20)]

    assert await pool.spawn_cpu_work(work) == [2 * n for n in range(20)]


async def test_run_in_both_halves_of_a_join_does_not_wait_for_the_other(pool):
    """The waiting task runs one request; the other gets a task of its own."""
    asked = []
    both_asked = trio.Event()

    async def meet(half):
        asked.append(half)
        if len(asked) == 2:
            both_asked.set()
        await both_asked.wait()
        return half

    def ask(half):
        return from_worker.run(meet, half)

    assert await pool.spawn_cpu_work(runtime.join, ask, 0, ask, 1) == (0, 1)


async def test_run_sees_the_jobs_context_and_sets_none_of_the_tasks(pool):
    async def look_and_set():
        seen = variable.get()
        variable.set("set in Trio")
        assert sniffio.current_async_library() == "trio"
        return seen

    def work():
        variable.set("set in the job")
        return from_worker.run(look_and_set)

    variable.set("mine")
    assert await pool.spawn_cpu_work(work) == "set in the job"
    assert variable.get() == "mine"


async def test_run_from_batch_map_and_submit_uses_a_task_of_its_own(pool):
    """Two jobs of one batch wait for each other by way of Trio."""
    seen = []
    both = trio.Event()

    async def meet(number):
        seen.append(number)
        if len(seen) == 2:
            both.set()
        await both.wait()
        return number

    def work(number):
        return from_worker.run(meet, number)

    assert await pool.spawn_parallel_batch([1, 2], work) == [1, 2]
    async with pool.map(work, [3, 4]) as results:
        assert [result async for result in results] == [3, 4]
    job = await pool.submit(work, 5)
    assert await job.wait() == 5


async def test_run_inside_a_cancelled_call_raises_cancelled_there(pool, gate):
    seen = []

    async def sleep():
        gate.enter()
        try:
            await trio.sleep_forever()
        except trio.Cancelled:
            seen.append("in Trio")
            raise

    def work():
        try:
            from_worker.run(sleep)
        except trio.Cancelled:
            seen.append("in the job")
            raise

    async with trio.open_nursery() as nursery:
        with trio.CancelScope() as scope:

            async def cancel():
                await gate.wait_entered()
                scope.cancel()

            nursery.start_soon(cancel)
            await pool.spawn_cpu_work(work)
    assert scope.cancelled_caught
    assert seen == ["in Trio", "in the job"]


@pytest.mark.parametrize("kind", ["batch", "submit"])
async def test_run_in_a_child_task_is_cancelled_with_its_job(pool, gate, kind):
    seen = []

    async def sleep():
        gate.enter()
        try:
            await trio.sleep_forever()
        finally:
            seen.append("ended")

    def work(_item=None):
        from_worker.run(sleep)
        seen.append("went on")
        runtime.check_cancelled()

    if kind == "submit":
        job = await pool.submit(work)
        await gate.wait_entered()
        job.cancel()
        with pytest.raises(runtime.TaskCancelled):
            await job.wait()
    else:
        async with trio.open_nursery() as nursery:
            with trio.CancelScope() as scope:

                async def cancel():
                    await gate.wait_entered()
                    scope.cancel()

                nursery.start_soon(cancel)
                await pool.spawn_parallel_batch([1], work)
        assert scope.cancelled_caught
    assert seen[0] == "ended"


def test_run_in_a_job_that_was_cancelled_before_ends_the_job_at_once(gate):
    """No `trio.Cancelled` may reach who did not cancel a scope.

    Not an async test: pytest-trio would swallow it.
    """
    ended = []

    def work():
        gate.hold()
        from_worker.run(trio.sleep_forever)

    async def main():
        async with runtime.open_worker_pool(1) as pool:
            job = await pool.submit(work)
            await gate.wait_entered()
            job.cancel()
            gate.open()
            with pytest.raises(runtime.TaskCancelled):
                await job.wait()
            ended.append("waited for")
        ended.append("left")

    trio.run(main)
    assert ended == ["waited for", "left"]


async def test_run_in_an_abandoned_job_gets_a_task_of_its_own(pool, gate):
    answers = []

    async def say(answer):
        answers.append(answer)

    def work():
        gate.hold()
        from_worker.run_sync(answers.append, "sync")

    async with trio.open_nursery() as nursery:
        with trio.CancelScope() as scope:

            async def cancel():
                await gate.wait_entered()
                scope.cancel()

            nursery.start_soon(cancel)
            await pool.spawn_cpu_work(work, on_cancel="abandon")
    gate.open()
    await wait_until(lambda: pool.statistics().in_flight == 0)
    assert answers == ["sync"]


async def test_run_after_the_block_was_left_is_refused(gate):
    """Only a job that a shutdown left behind can come so late."""
    errors = []

    def late():
        gate.hold()
        try:
            from_worker.run(async_double, 1)
        except runtime.PoolClosedError as error:
            errors.append(error)

    async with runtime.open_worker_pool(1) as pool:
        pool.submit_nowait(late)
        await gate.wait_entered()
        await pool.shutdown(0)
    gate.open()
    await wait_until(lambda: errors)


def test_run_after_the_trio_run_is_over_raises_run_finished(gate):
    errors = []

    def late():
        gate.hold()
        try:
            from_worker.run(async_double, 1)
        except trio.RunFinishedError as error:
            errors.append(error)

    async def main():
        async with runtime.open_worker_pool(1, name="late") as pool:
            pool.submit_nowait(late)
            await gate.wait_entered()
            await pool.shutdown(0)

    trio.run(main)
    gate.open()
    for thread in threading.enumerate():
        if thread.name.startswith("runtime-late"):
            thread.join(TIMEOUT)
    assert len(errors) == 1


@pytest.mark.parametrize("verb", ["run", "run_sync"])
async def test_misuse_run_outside_a_job_names_the_right_call(verb):
    with pytest.raises(
        runtime.NotOnWorkerError, match=rf"from_worker\.{verb}\(\) works only inside a"
    ):
        getattr(from_worker, verb)(async_double, 1)


async def test_misuse_check_cancelled_outside_a_job_names_the_right_call():
    with pytest.raises(runtime.NotOnWorkerError, match="checkpoint_if_cancelled"):
        runtime.check_cancelled()


async def test_check_cancelled_does_nothing_while_nobody_asks(pool):
    assert await pool.spawn_cpu_work(runtime.check_cancelled) is None
