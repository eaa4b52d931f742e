import threading
import traceback
from functools import partial
from types import SimpleNamespace

import jobs
import pytest
import trio
import trio.testing
from helpers import cancelled_after, wait_until
from trio.testing import wait_all_tasks_blocked

import runtime
from runtime._frontend.call import Poller

# The value, the error


async def test_call_runs_fn_once_in_a_worker_and_returns_its_value(pool, calls):
    assert await pool.spawn_cpu_work(jobs.note_thread_and_add, calls, 2, 3) == 5
    (thread_id,) = calls
    assert thread_id != threading.get_ident()


async def test_call_of_builtins_partials_and_methods(pool):
    assert await pool.spawn_cpu_work(sorted, (2, 1)) == [1, 2]
    assert await pool.spawn_cpu_work(partial(jobs.add, 1, b=5)) == 6
    assert await pool.spawn_cpu_work(jobs.Accumulator(10).plus, 3) == 13
    assert await pool.spawn_cpu_work("a-b".split, "-") == ["a", "b"]


async def test_call_error_arrives_unchanged(pool, backend):
    """From an interpreter, an error of the same kind with the worker's traceback."""
    error = ValueError("mine", 1)
    with pytest.raises(ValueError, match="mine") as info:
        await pool.spawn_cpu_work(jobs.raise_error, error)
    assert type(info.value) is ValueError
    assert info.value.args == ("mine", 1)
    assert (info.value is error) == (backend == "threads")
    assert (info.value.__cause__ is None) == (backend == "threads")
    assert info.value.__context__ is None


async def test_call_error_shows_no_frame_of_ours_in_the_worker(pool, backend):
    with pytest.raises(ZeroDivisionError) as info:
        await pool.spawn_cpu_work(jobs.divide, 1, 0)
    frames = traceback.extract_tb(info.value.__traceback__)
    if backend == "threads":
        assert frames[-1].name == "divide"
    else:
        shown = str(info.value.__cause__)
        assert "in divide\n" in shown
        assert "runtime/_backends" not in shown
    # What is ours is the way through Trio, above the user's function only.
    assert not [frame for frame in frames if "runtime/_core" in frame.filename]


async def test_error_that_hides_its_traceback_arrives(single):
    with pytest.raises(jobs.HidesItsTraceback):
        await single.spawn_cpu_work(jobs.hide_traceback)
    job = await single.submit(jobs.hide_traceback)
    with pytest.raises(jobs.HidesItsTraceback):
        await job.wait()


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
async def test_call_odd_error_is_the_answer_and_the_worker_lives_on(
    single, kind, error
):
    with pytest.raises(error):
        await single.spawn_cpu_work(jobs.raise_odd, kind)
    assert await single.spawn_cpu_work(jobs.divide, 4, 2) == 2


async def test_call_many_at_once_each_gets_its_own_answer(pool):
    answers = {}

    async def ask(number):
        answers[number] = await pool.spawn_cpu_work(jobs.divide, number, 1)

    async with trio.open_nursery() as nursery:
        for number in range(500):
            nursery.start_soon(ask, number)
    assert answers == {number: number for number in range(500)}


# Misuse


async def test_misuse_coroutine_function_names_the_right_call(pool):
    with pytest.raises(TypeError, match=r"sync function.*await pool\.spawn"):
        await pool.spawn_cpu_work(jobs.async_double, 1)


async def test_misuse_coroutine_object_is_closed_and_refused(pool):
    coroutine = jobs.async_double(1)
    with pytest.raises(TypeError, match=r"write instead: spawn_cpu_work\(fn, \*args\)"):
        await pool.spawn_cpu_work(coroutine)
    with pytest.raises(RuntimeError, match="cannot reuse"):
        coroutine.send(None)


async def test_misuse_partial_of_async_function_is_refused(pool):
    with pytest.raises(TypeError, match=r"async_double is async; .*pool\.spawn"):
        await pool.spawn_cpu_work(partial(jobs.async_double, 1))


async def test_misuse_not_callable_is_refused(pool):
    with pytest.raises(TypeError, match="needs a callable, not 3"):
        await pool.spawn_cpu_work(3)


async def test_misuse_on_cancel_names_the_choices(pool):
    with pytest.raises(ValueError, match="on_cancel must be 'wait', 'abandon'"):
        await pool.spawn_cpu_work(jobs.divide, 1, 1, on_cancel="never")


async def test_misuse_priority_is_refused_and_the_pool_goes_on(pool):
    with pytest.raises(TypeError, match=r"priority must be a runtime\.Priority, not 7"):
        await pool.spawn_cpu_work(jobs.divide, 1, 1, priority=7)
    assert await pool.spawn_cpu_work(jobs.divide, 1, 1) == 1


async def test_misuse_limiter_is_refused_and_the_pool_goes_on(pool):
    with pytest.raises(TypeError, match=r"limiter must be a trio.*, not 7"):
        await pool.spawn_cpu_work(jobs.divide, 1, 1, limiter=7)
    assert await pool.spawn_cpu_work(jobs.divide, 1, 1) == 1


# Checkpoints


async def test_call_is_a_checkpoint(pool):
    for _ in range(20):  # with a poll that pays, that does not, and without
        with trio.testing.assert_checkpoints():
            await pool.spawn_cpu_work(jobs.divide, 1, 1)


async def test_call_that_fails_is_a_checkpoint(pool):
    with trio.testing.assert_checkpoints(), pytest.raises(ZeroDivisionError):
        await pool.spawn_cpu_work(jobs.divide, 1, 0)


async def test_call_in_a_cancelled_scope_is_not_even_queued(manual):
    with trio.CancelScope() as scope:
        scope.cancel()
        await manual.pool.spawn_cpu_work(jobs.divide, 1, 1)
    assert scope.cancelled_caught
    assert manual.pool.statistics().queued == 0


# The cancellation ladder


async def test_cancel_queued_call_is_withdrawn(held, gate, calls):
    async with cancelled_after(wait_all_tasks_blocked) as scope:
        await held.spawn_cpu_work(calls.append, 1)
    assert scope.cancelled_caught
    gate.open()
    await wait_until(lambda: held.statistics().in_flight == 0)
    assert list(calls) == []
    assert held.statistics().jobs_withdrawn == 1


async def test_cancel_queued_call_resumes_its_waiter_within_two_ticks(held, gate):
    ticks = 0

    async def count_and_cancel():
        nonlocal ticks
        await wait_all_tasks_blocked()
        scope.cancel()
        while True:  # a task that is always ready runs once in each tick
            await trio.lowlevel.checkpoint()
            ticks += 1

    async with trio.open_nursery() as nursery:
        with trio.CancelScope() as scope:
            nursery.start_soon(count_and_cancel)
            await held.spawn_cpu_work(int)
        assert scope.cancelled_caught
        assert ticks <= 2
        gate.open()
        nursery.cancel_scope.cancel()


async def test_cancel_running_call_waits_and_returns_the_value(pool, gate):
    async with cancelled_after(gate.wait_entered, opens=gate) as scope:
        value = await pool.spawn_cpu_work(gate.hold, "not lost")
    assert value == "not lost"
    assert not scope.cancelled_caught


async def test_cancel_running_call_that_fails_raises_its_error(pool, gate):
    async with cancelled_after(gate.wait_entered, opens=gate):
        with pytest.raises(ValueError, match="later"):
            await pool.spawn_cpu_work(jobs.hold_and_fail, gate, "later")


async def test_cancel_running_call_that_checks_ends_in_cancelled(pool, gate):
    async with cancelled_after(gate.wait_entered) as scope:
        await pool.spawn_cpu_work(gate.hold_while, runtime.check_cancelled)
    assert scope.cancelled_caught


async def test_cancel_abandoned_call_leaves_at_once(single, gate, calls):
    async with cancelled_after(gate.wait_entered) as scope:
        await single.spawn_cpu_work(
            jobs.hold_and_note, gate, calls, on_cancel="abandon"
        )
    assert scope.cancelled_caught
    assert list(calls) == []
    assert single.statistics().abandoned == 1
    assert single.statistics().in_flight == 1
    gate.open()
    await wait_until(lambda: single.statistics().abandoned == 0)
    assert list(calls) == [True]
    assert single.statistics().jobs_completed == 1


async def test_cancel_abandoned_call_keeps_the_block_waiting(gate, calls, open_pool):
    async with trio.open_nursery() as nursery:
        async with open_pool(1) as pool:
            async with cancelled_after(gate.wait_entered):
                await pool.spawn_cpu_work(
                    jobs.hold_and_note, gate, calls, on_cancel="abandon"
                )
            assert list(calls) == []

            async def open_when_blocked():
                await wait_all_tasks_blocked()
                gate.open()

            nursery.start_soon(open_when_blocked)
        assert list(calls) == [True]


async def test_cancel_abandoned_call_error_is_dropped(gate, open_pool):
    async with open_pool(1) as pool:
        async with cancelled_after(gate.wait_entered):
            await pool.spawn_cpu_work(
                jobs.hold_and_fail, gate, "nobody listens", on_cancel="abandon"
            )
        gate.open()


async def test_cancel_queued_call_with_abandon_is_withdrawn(held, gate, calls):
    async with cancelled_after(wait_all_tasks_blocked) as scope:
        await held.spawn_cpu_work(calls.append, 1, on_cancel="abandon")
    assert scope.cancelled_caught
    assert held.statistics().abandoned == 0
    gate.open()
    await wait_until(lambda: held.statistics().in_flight == 0)
    assert list(calls) == []


async def test_deadline_withdraws_what_has_not_begun(held, gate, calls):
    with pytest.raises(trio.TooSlowError), trio.fail_after(0.01):
        await held.spawn_cpu_work(calls.append, 1)
    gate.open()
    await wait_until(lambda: held.statistics().in_flight == 0)
    assert list(calls) == []


async def test_cancel_loop_behind_a_stuck_worker_keeps_the_queue_short(held):
    for _ in range(100):
        with trio.move_on_after(0):
            await held.submit(jobs.divide, 1, 1)
        async with cancelled_after(wait_all_tasks_blocked):
            await held.spawn_cpu_work(jobs.divide, 1, 1)
    assert held.statistics().queued <= 2


async def test_check_cancelled_outside_a_job_is_misuse(pool):
    await pool.spawn_cpu_work(jobs.divide, 1, 1)
    with pytest.raises(runtime.NotOnWorkerError):
        runtime.check_cancelled()


async def test_job_cancelled_raised_by_the_job_itself_becomes_task_cancelled(pool):
    with pytest.raises(runtime.TaskCancelled, match="cancelled by itself"):
        await pool.spawn_cpu_work(jobs.cancel_myself)


# The poll of CALL-2, with a worker that moves only when told


async def test_poll_finds_the_answer_without_a_wake_up(manual):
    async def run_it():
        manual.backend.step_all()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_it)
        assert await manual.pool.spawn_cpu_work(jobs.divide, 6, 2) == 3
    assert not manual.pool._intake.port._pending


async def test_poll_looks_itself_where_nobody_brings_the_answer(manual):
    """As for interpreters: who polls takes what is there, and needs no other task."""
    manual.pool._intake.pump = SimpleNamespace(
        look=manual.backend.step_all, hush=lambda _is_hushed: None
    )
    assert await manual.pool.spawn_cpu_work(jobs.divide, 6, 3) == 2
    assert manual.pool.statistics().jobs_completed == 1


def test_poller_waits_twice_as_long_after_each_poll_that_did_not_pay():
    poller = Poller()

    def skipped():
        count = 0
        while not poller.begin(is_worker_idle=True):
            count += 1
        return count

    assert skipped() == 0
    found = []
    for _ in range(6):
        poller.end(paid=False)
        found.append(skipped())
    assert found == [1, 2, 4, 8, 16, 16]
    poller.end(paid=True)
    assert skipped() == 0
    poller.end(paid=False)
    assert skipped() == 1


async def test_poll_that_finds_nothing_parks_until_the_port_delivers(manual):
    answers = []

    async def ask():
        answers.append(await manual.pool.spawn_cpu_work(jobs.divide, 6, 2))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        await wait_all_tasks_blocked()
        assert answers == []
        manual.backend.step_all()
    assert answers == [3]


async def test_poll_of_a_call_that_is_stopped_meanwhile_ends_in_task_cancelled(manual):
    """The pool ends a call whose task is between two polls.

    1. the task injects its job and polls; 2. shutdown withdraws the job; 3. the
    task must find that out, whoever drops the empty entry, and when.
    """
    errors = []

    async def ask():
        with pytest.raises(runtime.TaskCancelled) as info:
            await manual.pool.spawn_cpu_work(jobs.divide, 6, 2)
        errors.append(info.value)

    async def stop():
        await trio.lowlevel.checkpoint()
        for work in list(manual.pool._intake.work):
            work.stop(runtime.CancelReason.SHUTDOWN)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        nursery.start_soon(stop)
        await wait_all_tasks_blocked()
        manual.backend.step_all()
    assert len(errors) == 1


# Priority, names, context


async def test_priority_urgent_jobs_start_first(inline):
    order = []
    async with trio.open_nursery() as nursery:
        for priority in (
            runtime.Priority.LOW,
            runtime.Priority.NORMAL,
            runtime.Priority.HIGH,
        ):
            for number in range(2):
                inline.submit_nowait(
                    order.append, (priority.name, number), priority=priority
                )
        nursery.start_soon(inline.spawn_cpu_work, order.append, "last of NORMAL")
    await wait_until(lambda: len(order) == 7)
    assert order == [
        ("HIGH", 0),
        ("HIGH", 1),
        ("NORMAL", 0),
        ("NORMAL", 1),
        "last of NORMAL",
        ("LOW", 0),
        ("LOW", 1),
    ]


async def test_priority_urgent_jobs_start_first_on_a_worker(held, gate, calls):
    for priority in (
        runtime.Priority.LOW,
        runtime.Priority.NORMAL,
        runtime.Priority.HIGH,
    ):
        held.submit_nowait(calls.append, priority.name, priority=priority)
    gate.open()
    await wait_until(lambda: held.statistics().jobs_completed == 4)
    assert list(calls) == ["HIGH", "NORMAL", "LOW"]


async def test_name_is_what_errors_call_the_job(held, gate):
    async with trio.open_nursery() as nursery:

        async def ask():
            with pytest.raises(runtime.TaskCancelled, match="'my name'"):
                await held.spawn_cpu_work(jobs.divide, 1, 1, name="my name")

        nursery.start_soon(ask)
        await wait_all_tasks_blocked()
        nursery.start_soon(held.shutdown, 0)
        await wait_all_tasks_blocked(0.001)
        gate.open()


async def test_context_is_the_callers_and_changes_stay_inside(pool):
    jobs.REQUEST.set("mine")
    assert await pool.spawn_cpu_work(jobs.read_and_change_request) == "mine"
    assert jobs.REQUEST.get() == "mine"
    jobs.REQUEST.set("mine later")
    assert await pool.spawn_cpu_work(jobs.read_and_change_request) == "mine later"


async def test_sniffio_finds_no_library_inside_a_job(pool):
    assert await pool.spawn_cpu_work(jobs.has_no_async_library)


# The limiter


async def test_limiter_lends_a_token_until_the_job_has_ended(pool, gate):
    limiter = trio.CapacityLimiter(1)
    second = []

    async def ask():
        second.append(await pool.spawn_cpu_work(jobs.divide, 1, 1, limiter=limiter))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(pool.spawn_cpu_work, gate.hold, limiter=limiter))
        await gate.wait_entered()
        nursery.start_soon(ask)
        await wait_all_tasks_blocked()
        assert limiter.borrowed_tokens == 1
        assert second == []
        gate.open()
    assert second == [1]
    assert limiter.borrowed_tokens == 0


async def test_limiter_keeps_the_token_of_an_abandoned_job(pool, gate):
    limiter = trio.CapacityLimiter(1)
    async with cancelled_after(gate.wait_entered):
        await pool.spawn_cpu_work(gate.hold, on_cancel="abandon", limiter=limiter)
    assert limiter.borrowed_tokens == 1
    gate.open()
    await wait_until(lambda: limiter.borrowed_tokens == 0)


async def test_limiter_gets_its_token_back_from_a_withdrawn_job(held, gate):
    limiter = trio.CapacityLimiter(1)
    async with cancelled_after(wait_all_tasks_blocked):
        await held.spawn_cpu_work(jobs.divide, 1, 1, limiter=limiter)
    gate.open()
    await wait_until(lambda: limiter.borrowed_tokens == 0)


class BrokenLimiter:
    """Fails where it is told to; counts what it has lent."""

    def __init__(self, where):
        self.where = where
        self.lent = 0

    async def acquire_on_behalf_of(self, borrower):
        await trio.lowlevel.checkpoint()
        if self.where == "acquire":
            raise ValueError("cannot acquire")
        self.lent += 1

    def release_on_behalf_of(self, borrower):
        self.lent -= 1
        if self.where == "release":
            raise ValueError("cannot release")


@pytest.mark.parametrize("where", ["acquire", "release"])
async def test_limiter_error_is_the_answer_and_nothing_is_lost(open_pool, where):
    limiter = BrokenLimiter(where)
    async with open_pool(1, queue_capacity=1) as pool:
        for _ in range(5):  # more than there are places
            with pytest.raises(ValueError, match=f"cannot {where}"):
                await pool.spawn_cpu_work(jobs.divide, 1, 1, limiter=limiter)
        assert await pool.spawn_cpu_work(jobs.divide, 1, 1) == 1
        assert pool.statistics().in_flight == 0
    assert limiter.lent == 0


async def test_limiter_error_is_chained_to_the_jobs(pool):
    with pytest.raises(ValueError, match="cannot release") as info:
        await pool.spawn_cpu_work(jobs.divide, 1, 0, limiter=BrokenLimiter("release"))
    assert type(info.value.__context__) is ZeroDivisionError


@pytest.mark.parametrize("ends", ["withdrawn", "abandoned"])
async def test_limiter_error_that_nobody_waits_for_is_logged(
    ends, open_pool, gate, caplog
):
    limiter = BrokenLimiter("release")
    async with open_pool(1, queue_capacity=1) as pool:
        if ends == "withdrawn":
            pool.submit_nowait(gate.hold)
            await gate.wait_entered()
        call = partial(
            pool.spawn_cpu_work, gate.hold, limiter=limiter, on_cancel="abandon"
        )
        until = gate.wait_entered if ends == "abandoned" else wait_all_tasks_blocked
        async with cancelled_after(until) as scope:
            await call()
        assert scope.cancelled_caught
        gate.open()
        await wait_until(lambda: pool.statistics().in_flight == 0)
        assert await pool.spawn_cpu_work(jobs.divide, 1, 1) == 1
    assert limiter.lent == 0
    assert "the limiter of job Gate.hold failed" in caplog.text
    assert "cannot release" in caplog.text
    caplog.clear()  # the error's frames keep the job


async def test_limiter_gets_its_token_back_if_the_wait_at_the_bound_is_cancelled(
    gate, open_pool
):
    limiter = trio.CapacityLimiter(1)
    async with open_pool(1, queue_capacity=1) as pool:
        pool.submit_nowait(gate.hold)
        pool.submit_nowait(jobs.divide, 1, 1)
        async with cancelled_after(wait_all_tasks_blocked) as scope:
            await pool.spawn_cpu_work(jobs.divide, 1, 1, limiter=limiter)
        assert scope.cancelled_caught
        assert limiter.borrowed_tokens == 0
        gate.open()
