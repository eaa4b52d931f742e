"""From inside a job back into Trio, on every backend."""

import os
import random
import threading
from functools import partial
from types import SimpleNamespace

import jobs
import pytest
import trio
from helpers import wait_until

import runtime
from runtime._backends import child
from runtime._backends.encoding import dumps
from runtime._backends.replies import decode
from runtime._until import Until

ROUNDS = int(os.environ.get("RUNTIME_STORM_ROUNDS", "3"))
SEED = int(os.environ.get("RUNTIME_STORM_SEED", "1"))


@pytest.fixture(autouse=True)
def home():
    """What jobs find at home: nothing but an event."""
    vars(jobs.home).update(pool=None, job=None, event=trio.Event(), notes=[])
    yield jobs.home
    vars(jobs.home).update(pool=None, job=None, event=None, notes=[])


# What comes back


async def test_run_returns_what_the_async_function_returned(pool):
    assert await pool.spawn_cpu_work(jobs.ask, jobs.double_at_home, 21) == 42
    assert (
        await pool.spawn_cpu_work(runtime.from_worker.run, jobs.double_at_home, 4) == 8
    )


async def test_run_several_times_in_one_job(single, home):
    home.pool = single
    numbers = await single.spawn_cpu_work(jobs.ask, jobs.double_elsewhere, 2)
    assert numbers == 4
    assert [
        await single.spawn_cpu_work(jobs.ask, jobs.double_at_home, i) for i in range(20)
    ] == [2 * i for i in range(20)]


async def test_run_sync_runs_in_the_trio_thread(pool):
    ident = await pool.spawn_cpu_work(jobs.ask_sync, threading.get_ident)
    assert ident == threading.get_ident()


async def test_run_raises_what_the_async_function_raised(pool):
    caught = await pool.spawn_cpu_work(jobs.ask_and_catch, jobs.fail_at_home, "why")
    assert caught == "ValueError: why"
    with pytest.raises(ValueError, match=r"^why$"):
        await pool.spawn_cpu_work(jobs.ask, jobs.fail_at_home, "why")


async def test_large_bytes_and_views_go_both_ways(pool):
    content = bytes(range(256)) * 1000
    assert await pool.spawn_cpu_work(jobs.ask_sync, bytes.upper, content) == (
        content.upper()
    )
    view = memoryview(bytearray(content))
    assert await pool.spawn_cpu_work(jobs.ask_sync, bytes, view) == content


async def test_what_cannot_cross_is_raised_at_the_call(interpreters):
    async with runtime.open_worker_pool(1, backend="interpreters") as pool:
        with pytest.raises(runtime.CrossingError, match=r"^fn cannot cross.*'def'"):
            await pool.spawn_cpu_work(jobs.ask_for_lambda)
        error = await pool.spawn_cpu_work(jobs.ask_and_catch, jobs.make_unsendable)
        assert error.startswith("CrossingError: result cannot cross")
        assert await pool.spawn_cpu_work(jobs.ask, jobs.double_at_home, 1) == 2


async def test_context_variables_are_seen_and_those_of_the_job_stay_as_they_are(
    pool, home
):
    """What does not cross is seen as it was when the job was submitted."""
    home.pool = pool
    jobs.REQUEST.set("mine")
    jobs.OBJECT.set(pool)
    seen = await pool.spawn_cpu_work(jobs.ask_in_request, "the job's")
    assert seen == (("the job's", True), "the job's")
    assert jobs.REQUEST.get() == "mine"


# Which task runs it


async def test_a_calls_request_runs_in_the_waiting_task(pool, home):
    assert await pool.spawn_cpu_work(jobs.ask, jobs.note_task, 1) == 1
    assert home.notes == [trio.lowlevel.current_task()]


async def test_every_other_job_gets_a_task_of_its_own(pool, home):
    """Two jobs of one batch or map wait for each other by way of Trio."""
    meet = partial(jobs.ask, jobs.meet_at_home, 2)
    assert await pool.spawn_parallel_batch([1, 2], meet) == [1, 2]
    home.event, home.notes = trio.Event(), []
    async with pool.map(meet, [3, 4]) as results:
        assert [result async for result in results] == [3, 4]
    home.notes = []
    job = await pool.submit(jobs.ask, jobs.note_task, 5)
    assert await job.wait() == 5
    assert home.notes != [trio.lowlevel.current_task()]


async def test_a_batch_goes_on_beside_items_that_wait(single):
    items = list(range(300))
    ask = partial(jobs.ask, jobs.double_at_home)
    assert await single.spawn_parallel_batch(items, ask) == [2 * i for i in items]


class Beside:
    """A batch's job and its runner, while another job is at the seat."""

    start, stop, is_stopped, is_set = 1, 9, False, False

    def __init__(self):
        call = jobs.double, (), False
        self.sent = [dumps(call)[0], *(dumps([i])[0] for i in range(8))]
        self.crew = SimpleNamespace(worker=self)

    def __len__(self):
        return 0

    def frame(self, index):
        return self.sent[index]

    def has_seat(self):
        return False

    def has_work_outside(self):
        return True

    def share(self, _middle):
        raise AssertionError("what is at the seat is not ours")


def test_a_batch_beside_the_seat_shares_nothing(monkeypatch):
    """And goes on, since what waits outside is for who has the seat."""
    monkeypatch.setattr(child, "Until", Until)  # that in C wants a job of its own
    beside = Beside()
    _, frames = child._run_batch(beside, beside)
    assert decode(frames[0], frames[1:]) == ([2 * i for i in range(8)], None)


# Who works meanwhile


async def test_a_job_may_use_its_own_pool_of_one_worker(single, home):
    home.pool = single
    assert await single.spawn_cpu_work(jobs.ask, jobs.square_elsewhere, 3) == 9
    assert await single.spawn_cpu_work(jobs.ask, jobs.double_elsewhere, 3) == 6


async def test_more_jobs_than_workers_wait_at_a_time(pool):
    waiting = [await pool.submit(jobs.ask, jobs.meet_at_home, 12, i) for i in range(12)]
    assert [await job.wait() for job in waiting] == list(range(12))
    assert pool.statistics().waiting == 0


@pytest.mark.parametrize("limit", [0, 1, 3])
async def test_one_wait_more_than_spares_raises_deadlock_error(backend, home, limit):
    async with runtime.open_worker_pool(
        1, backend=backend, spare_limit=limit, name="small"
    ) as home.pool:
        for _ in range(2):
            assert await home.pool.spawn_cpu_work(jobs.descend, 0) == limit
        if limit == 0:
            with pytest.raises(runtime.DeadlockError, match="0 jobs of pool 'small'"):
                await home.pool.spawn_cpu_work(jobs.ask, jobs.double_at_home, 1)


async def test_a_job_that_waits_for_itself_raises_deadlock_error(single, home):
    home.job = await single.submit(jobs.ask, jobs.wait_for_job, name="selfish")
    with pytest.raises(runtime.DeadlockError, match="'selfish' cannot wait for itself"):
        await home.job.wait()


async def test_a_cycle_through_another_job_raises_deadlock_error(single, home):
    home.pool = single
    home.job = await single.submit(
        jobs.ask, jobs.call_elsewhere, jobs.ask, jobs.wait_for_job, name="outer"
    )
    with pytest.raises(runtime.DeadlockError, match=r"ask' cannot .* 'outer', which"):
        await home.job.wait()


async def test_who_comes_back_goes_on_at_once(single):
    """A spare's job wants the lock that the job holds which it stands in for."""
    first = await single.submit(jobs.wait_with_lock, 1)
    others = [await single.submit(jobs.use_lock, i) for i in range(3)]
    assert await first.wait() == 2
    assert [await job.wait() for job in others] == [0, 1, 2]


async def test_who_comes_back_works_in_place_of_an_idle_spare(single, make_gate):
    is_anyone_idle = single._intake.backend.is_anyone_idle
    waits, runs = make_gate(), make_gate()
    job = await single.submit(jobs.block_and_hold, waits, runs)
    await waits.wait_entered()
    await wait_until(is_anyone_idle)
    waits.open()
    await runs.wait_entered()
    await wait_until(lambda: not is_anyone_idle())
    other = await single.submit(jobs.square, 3)
    assert other.state is runtime.JobState.QUEUED
    runs.open()
    await job.wait()
    assert await other.wait() == 9


async def test_blocking_lets_another_job_run(single, gate):
    job = await single.submit(jobs.block, gate)
    await gate.wait_entered()
    await wait_until(lambda: single.statistics().waiting == 1)
    assert await single.spawn_cpu_work(jobs.square, 3) == 9
    assert single.statistics().running == 1
    gate.open()
    assert await job.wait() == "passed"
    assert single.statistics().waiting == 0


async def test_a_block_that_is_never_left_ends_with_its_job(interpreters):
    async with runtime.open_worker_pool(1, backend="interpreters") as pool:
        for _ in range(3):
            await pool.spawn_cpu_work(jobs.begin_to_block)
            assert await pool.spawn_cpu_work(jobs.ask, jobs.double_at_home, 1) == 2
        assert pool.statistics().waiting == 0


async def test_a_thread_of_the_jobs_own_is_not_inside_the_job(single):
    (message,) = await single.spawn_cpu_work(jobs.ask_in_thread)
    assert "from_worker.run() works only inside a job" in message


async def test_a_worker_with_a_job_that_waits_serves_beyond_its_last_job(
    interpreters, home
):
    async with runtime.open_worker_pool(
        1, backend="interpreters", max_jobs_per_worker=1
    ) as home.pool:
        first = await home.pool.spawn_cpu_work(jobs.interpreter_id)
        second = await home.pool.spawn_cpu_work(jobs.ask, jobs.square_elsewhere, 3)
        assert second == 9
        third = await home.pool.spawn_cpu_work(
            jobs.ask, jobs.call_elsewhere, jobs.interpreter_id
        )
        assert len({first, third, await home.pool.spawn_cpu_work(jobs.bump)}) == 3


# Cancelling


async def cancelled(home, wait):
    """Wait for something in a scope that is cancelled once the event is set."""
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:

            async def cancel():
                await home.event.wait()
                scope.cancel()

            nursery.start_soon(cancel)
            await wait()
    assert scope.cancelled_caught


@pytest.mark.parametrize("ask", [jobs.sleep_at_home, jobs.sleep_in_two_tasks])
async def test_a_cancelled_call_ends_what_runs_for_it(pool, backend, home, calls, ask):
    await cancelled(home, partial(pool.spawn_cpu_work, jobs.ask_and_note, ask, calls))
    assert home.notes == ["in Trio"]
    (ended_by,) = calls
    if backend == "interpreters":
        assert ended_by == "JobCancelled"
    else:
        assert ended_by in ("Cancelled", "BaseExceptionGroup")
    assert await pool.spawn_cpu_work(jobs.ask, jobs.double_at_home, 1) == 2


@pytest.mark.parametrize("way", ["batch", "map", "submit"])
async def test_a_cancelled_job_ends_its_task(pool, home, calls, way):
    work = partial(jobs.ask_and_note, jobs.sleep_at_home)

    async def mapped():
        async with pool.map(work, [calls]) as results:
            async for _ in results:
                pass

    if way == "submit":
        job = await pool.submit(work, calls)
        await home.event.wait()
        job.cancel()
        with pytest.raises(runtime.TaskCancelled, match=r"by Job\.cancel"):
            await job.wait()
    elif way == "batch":
        await cancelled(home, partial(pool.spawn_parallel_batch, [calls], work))
    else:
        await cancelled(home, mapped)
    assert home.notes == ["in Trio"]
    assert list(calls) == ["JobCancelled"]


async def test_an_abandoned_job_asks_in_a_task_of_its_own(pool, home, gate):
    work = partial(jobs.ask_and_hold, gate)

    async def abandon():
        await gate.wait_entered()
        home.event.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(abandon)
        await cancelled(home, partial(pool.spawn_cpu_work, work, on_cancel="abandon"))
    assert pool.statistics().abandoned == 1
    gate.open()
    await wait_until(lambda: pool.statistics().in_flight == 0)


async def test_what_an_abandoned_job_has_run_in_trio_is_let_finish(
    pool, home, gate, calls
):
    work = partial(pool.spawn_cpu_work, jobs.ask_twice_and_look, on_cancel="abandon")
    await cancelled(home, partial(work, gate, calls))
    gate.open()
    await wait_until(lambda: pool.statistics().in_flight == 0)
    assert list(calls) == ["finished", 4, "was told"]
    assert home.notes == []


async def test_what_an_abandoned_job_has_run_in_trio_ends_with_its_pool(
    open_pool, home, gate, calls
):
    async with open_pool(1) as pool:
        work = partial(
            pool.spawn_cpu_work, jobs.ask_twice_and_look, on_cancel="abandon"
        )
        await cancelled(home, partial(work, gate, calls))
        await pool.shutdown(0)
    assert home.notes == ["in Trio"]
    assert list(calls) == []


async def test_an_interrupt_ends_the_wait(pool, home, calls):
    job = await pool.submit(
        jobs.ask_and_note, jobs.sleep_at_home, calls, on_cancel="interrupt"
    )
    await home.event.wait()
    job.cancel()
    with pytest.raises(runtime.TaskCancelled):
        await job.wait()
    assert home.notes == ["in Trio"]
    assert set(calls) <= {"JobCancelled", "JobInterrupted"}


async def test_an_interrupt_reaches_a_job_after_its_wait_and_no_other(
    single, make_gate, calls
):
    """Both are in one interpreter: the second began while the first waited."""
    waits, goes_on = [make_gate(), make_gate()], [make_gate(), make_gate()]
    loops = [
        await single.submit(jobs.loop_after, *gates, calls, on_cancel="interrupt")
        for gates in zip(waits, goes_on, strict=True)
    ]
    for gate in waits:
        await gate.wait_entered()
    for gate in waits:
        gate.open()
    for gate in goes_on:
        await gate.wait_entered()
    for count, job in enumerate(reversed(loops), 1):
        assert job.state is runtime.JobState.RUNNING
        job.cancel()
        with pytest.raises(runtime.TaskCancelled):
            await job.wait()
        assert list(calls) == ["JobInterrupted"] * count
    assert await single.spawn_cpu_work(jobs.ask, jobs.double_at_home, 1) == 2


# The end


async def test_leaving_the_block_waits_for_jobs_that_wait(backend):
    async with runtime.open_worker_pool(2, backend=backend) as pool:
        waiting = [
            await pool.submit(jobs.ask, jobs.meet_at_home, 6, i) for i in range(6)
        ]
    assert [await job.wait() for job in waiting] == list(range(6))


async def test_leaving_by_an_error_ends_what_runs_for_jobs(backend, home):
    with pytest.raises(KeyError):
        async with runtime.open_worker_pool(1, backend=backend) as pool:
            await pool.submit(jobs.ask, jobs.sleep_at_home)
            await home.event.wait()
            raise KeyError
    assert home.notes == ["in Trio"]


def threads_left():
    return [t for t in threading.enumerate() if t.name.startswith("runtime-")]


def join_threads_left():
    for thread in threads_left():
        thread.join(10)
        assert not thread.is_alive(), thread.name


async def test_a_shutdown_names_who_waits_and_ends_the_wait(backend, home, calls):
    """In threads it ends with what is waited for."""
    async with trio.open_nursery() as nursery:
        async with runtime.open_worker_pool(1, backend=backend) as pool:

            async def call():
                with pytest.raises(runtime.TaskCancelled):
                    await pool.spawn_cpu_work(
                        jobs.ask_and_note, jobs.sleep_for_long, calls
                    )

            nursery.start_soon(call)
            await wait_until(lambda: home.notes)
            report = await pool.shutdown(0)
            assert [job.name for job in report.still_running] == ["ask_and_note"]
        if backend == "interpreters":
            join_threads_left()
            assert list(calls) == ["PoolClosedError"]
        home.event.set()
    join_threads_left()


async def test_a_straggler_in_blocking_is_named(open_pool, gate):
    async with open_pool(1) as pool:
        await pool.submit(jobs.block, gate)
        await gate.wait_entered()
        report = await pool.shutdown(0)
    assert [job.name for job in report.still_running] == ["block"]
    assert threads_left()
    gate.open()
    join_threads_left()


async def test_asking_after_the_pool_was_left_is_refused(open_pool, gate, calls):
    async with open_pool(1) as pool:
        await pool.submit(jobs.ask_late, gate, calls)
        await gate.wait_entered()
        await pool.shutdown(0)
    gate.open()
    await wait_until(lambda: list(calls) == ["PoolClosedError"])
    join_threads_left()


async def submitted(pool, fn, *args):
    job = await pool.submit(fn, *args)
    return await job.wait()


async def called(pool, fn, *args):
    return await pool.spawn_cpu_work(fn, *args)


@pytest.mark.parametrize("way", [submitted, called], ids=lambda fn: fn.__name__)
async def test_who_waits_in_an_interpreter_that_breaks_is_told(interpreters, home, way):
    """And what ran for it in Trio ends."""
    async with runtime.open_worker_pool(1, backend="interpreters") as pool:

        async def wait():
            error = await way(pool, jobs.ask_and_catch, jobs.sleep_at_home)
            assert error.startswith("BrokenWorkerError: the interpreter of this job's")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            await home.event.wait()
            with pytest.raises(runtime.BrokenWorkerError, match="ran this job"):
                await pool.spawn_cpu_work(jobs.end_crew)
        assert await pool.spawn_cpu_work(jobs.ask, jobs.double_at_home, 1) == 2
    assert home.notes == ["in Trio"]


async def test_a_block_in_an_interpreter_that_breaks_is_waited_for(interpreters, gate):
    async with runtime.open_worker_pool(1, backend="interpreters") as pool:
        job = await pool.submit(jobs.block, gate)
        await gate.wait_entered()
        with pytest.raises(runtime.BrokenWorkerError, match="worker 0"):
            await pool.spawn_cpu_work(jobs.end_crew)
        gate.open()
        assert await job.wait() == "passed"
        assert await pool.spawn_cpu_work(jobs.square, 2) == 4


@pytest.mark.slow
@pytest.mark.stress
async def test_a_storm_of_waits_loses_nothing(backend):
    order = random.Random(SEED)
    for _ in range(ROUNDS):
        async with runtime.open_worker_pool(
            order.randrange(1, 4), backend=backend, queue_capacity=10_000
        ) as jobs.home.pool:
            await storm(jobs.home.pool, order)
            statistics = jobs.home.pool.statistics()
            assert (statistics.waiting, statistics.in_flight) == (0, 0)


async def storm(pool, order):
    """Run jobs that wait and wander, some of which are cancelled on the way."""
    items = range(order.randrange(300))
    asked = await pool.spawn_parallel_batch(items, jobs.ask_at_times)
    assert asked == [2 * i for i in items], f"seed {SEED}"
    on_cancel = order.choice(["wait", "interrupt"])
    work = [
        await pool.submit(jobs.wander, order.random(), 3, on_cancel=on_cancel)
        for _ in range(150)
    ]
    for job in order.sample(work, 20):
        for _ in range(order.randrange(20)):
            await trio.lowlevel.checkpoint()
        job.cancel()
    for job in work:
        try:
            assert await job.wait() >= 1, f"seed {SEED}"
        except runtime.TaskCancelled:
            pass
