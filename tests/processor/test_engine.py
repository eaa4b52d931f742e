"""Requests at the bound, at a deadline, at a timeout, and after a failure."""

import math
import time

import outcome
import pytest
import trio
from helpers import TIMEOUT, wait_until
from trio.testing import wait_all_tasks_blocked

import runtime


class Calls:
    """Some tasks, each with one request, and what came of them by name."""

    def __init__(self, processor, nursery):
        self.processor, self.nursery, self.outcomes = processor, nursery, {}

    async def call(self, name, request, options):
        self.outcomes[name] = await outcome.acapture(
            lambda: self.processor.execute(request, **options)
        )

    async def begin(self, name, request, **options):
        self.nursery.start_soon(self.call, name, request, options)
        await wait_all_tasks_blocked()

    def error(self, name):
        return self.outcomes[name].error


@pytest.fixture
async def nursery():
    async with trio.open_nursery() as nursery:
        yield nursery


async def occupy(calls, gate):
    """Hold the only worker, and fill the place of the next batch."""
    await calls.begin("held", gate.hold)
    await gate.wait_entered()
    await calls.begin("ready", "ready")


# At the bound


async def test_wait_lets_the_caller_wait_for_a_place(single, make, gate, nursery):
    async with make(single, batch_size=1, max_pending_tasks=3) as processor:
        calls = Calls(processor, nursery)
        await occupy(calls, gate)
        for name in "abc":
            await calls.begin(name, name)
        assert processor.statistics().in_flight == 3
        gate.open()
        await wait_until(lambda: len(calls.outcomes) == 5)
    assert calls.outcomes["c"].value == "c"
    assert processor.statistics().refused == 0


async def test_closing_turns_away_everyone_who_waits_for_a_place(
    single, make, gate, nursery
):
    async with make(single, batch_size=1, max_pending_tasks=2) as processor:
        calls = Calls(processor, nursery)
        await occupy(calls, gate)
        for name in "abcd":
            await calls.begin(name, name)
        gate.open()
    await wait_until(lambda: len(calls.outcomes) == 6)
    turned_away = [name for name in "abcd" if not is_answered(calls.outcomes[name])]
    assert turned_away
    for name in turned_away:
        assert isinstance(calls.error(name), runtime.PoolClosedError)


def is_answered(result):
    return isinstance(result, outcome.Value)


async def test_refuse_tells_when_to_try_again(single, make, gate, nursery):
    async with make(
        single, batch_size=1, max_pending_tasks=2, backpressure="refuse"
    ) as processor:
        calls = Calls(processor, nursery)
        await occupy(calls, gate)
        with pytest.raises(runtime.BackpressureExceeded) as caught:
            await processor.execute("a")
        assert caught.value.retry_after > 0
        assert "try again in" in str(caught.value)
        gate.open()
        await wait_until(lambda: len(calls.outcomes) == 2)
        assert await processor.execute("a") == "a"
        assert processor.statistics().refused == 1


async def test_drop_oldest_answers_the_one_that_waits_longest(
    single, make, gate, nursery
):
    async with make(
        single, batch_size=1, max_pending_tasks=4, backpressure="drop_oldest"
    ) as processor:
        calls = Calls(processor, nursery)
        await occupy(calls, gate)
        await calls.begin("old", "old")
        await calls.begin("high", "high", priority=runtime.Priority.HIGH)
        await calls.begin("new", "new")
        assert isinstance(calls.error("old"), runtime.BackpressureExceeded)
        # Nothing that is less urgent waits any more, but for the newest one.
        await calls.begin("low", "low", priority=runtime.Priority.LOW)
        assert isinstance(calls.error("low"), runtime.BackpressureExceeded)
        gate.open()
    await wait_until(lambda: len(calls.outcomes) == 6)
    assert calls.outcomes["high"].value == "high"
    assert calls.outcomes["new"].value == "new"
    statistics = processor.statistics()
    assert (statistics.dropped, statistics.refused) == (1, 1)


async def test_dropped_requests_place_goes_to_the_one_it_was_dropped_for(
    single, make, gate, nursery
):
    async with make(
        single, batch_size=1, max_pending_tasks=4, backpressure="drop_oldest"
    ) as processor:
        calls = Calls(processor, nursery)
        await occupy(calls, gate)
        await calls.begin("a", "a")
        await calls.begin("b", "b")
        nursery.start_soon(processor.execute_parallel_batch, ["waits", "waits"])
        await wait_all_tasks_blocked()
        await calls.begin("new", "new")
        assert isinstance(calls.error("a"), runtime.BackpressureExceeded)
        assert "b" not in calls.outcomes
        assert processor.statistics().dropped == 1
        gate.open()
        await wait_until(lambda: processor.statistics().processed == 6)


async def test_weighted_requests_share_one_bound(single, make, gate, nursery):
    async with make(
        single,
        batch_size=1,
        max_pending_tasks=10,
        backpressure="refuse",
        cost_of=lambda request: request if isinstance(request, int) else 1,
    ) as processor:
        calls = Calls(processor, nursery)
        await occupy(calls, gate)
        await calls.begin("dear", 8)
        await calls.begin("cheap", 1)
        assert isinstance(calls.error("cheap"), runtime.BackpressureExceeded)
        gate.open()
        await wait_until(lambda: len(calls.outcomes) == 4)
        assert await processor.execute(1000) == 1000  # counts as the whole bound


async def test_drop_oldest_drops_nobody_where_that_would_not_do(
    single, make, gate, nursery
):
    async with make(
        single,
        batch_size=1,
        max_pending_tasks=4,
        backpressure="drop_oldest",
        cost_of=lambda request: request if isinstance(request, int) else 1,
    ) as processor:
        calls = Calls(processor, nursery)
        await occupy(calls, gate)
        await calls.begin("waits", "waits")
        await calls.begin("dear", 4)
        assert isinstance(calls.error("dear"), runtime.BackpressureExceeded)
        assert "waits" not in calls.outcomes
        gate.open()
    await wait_until(lambda: len(calls.outcomes) == 4)


async def test_request_that_cannot_be_measured_fails_alone(pool, make):
    def cost_of(request):
        return 1 // request

    async with make(pool, cost_of=cost_of) as processor:
        first, second = await processor.execute_parallel_batch([0, 1])
        async with processor.process([0, 1]) as responses:
            found = [type(response) async for response in responses]
        with pytest.raises(ZeroDivisionError):
            await processor.execute(0)
    assert isinstance(first.error, ZeroDivisionError)
    assert second.unwrap() == 1
    assert found == [outcome.Error, outcome.Value]


@pytest.mark.parametrize("wrong", [None, "7", float("nan")])
@pytest.mark.parametrize("option", ["cost_of", "size_of"])
async def test_request_measured_by_no_number_fails_alone(pool, make, option, wrong):
    def measure(request):
        return wrong if request == 0 else 1

    options = {"max_batch_bytes": 9, "size_of": lambda _: 1, option: measure}
    async with make(pool, **options) as processor:
        first, second = await processor.execute_parallel_batch([0, 1])
    assert isinstance(first.error, TypeError | ValueError)
    assert option in str(first.error)
    assert second.unwrap() == 1


async def test_endless_sizes_and_fractions_leave_the_books_balanced(inline, make):
    costs = [1.6, 2.3, 1.1, math.inf]
    async with make(
        inline,
        cost_of=lambda request: request,
        size_of=lambda request: request,
        max_batch_bytes=4,
        batch_delay=0.01,
        max_pending_tasks=10,
    ) as processor:
        for _ in range(10):
            answers = await processor.execute_parallel_batch(costs)
            assert [answer.unwrap() for answer in answers] == costs


async def test_endless_times_are_accepted(inline, make):
    endless = {"ageing": math.inf, "target_batch_time": math.inf, "timeout": math.inf}
    async with make(inline, **endless) as processor:
        assert await processor.execute(1) == 1


# Priorities


async def test_urgent_request_overtakes_those_that_wait(single, make, gate, nursery):
    order = []
    async with make(single, handler=lambda r: r(), batch_size=1) as processor:
        calls = Calls(processor, nursery)
        await calls.begin("held", gate.hold)
        await gate.wait_entered()
        await calls.begin("ready", lambda: order.append("ready"))
        for name in ("LOW", "NORMAL", "HIGH"):
            await calls.begin(
                name,
                lambda name=name: order.append(name),
                priority=runtime.Priority[name],
            )
        gate.open()
    assert order == ["ready", "HIGH", "NORMAL", "LOW"]


async def test_low_request_is_not_starved_by_a_flood(single, make, gate, nursery):
    """With no ageing at all, a lane has no say: first come, first served."""
    order = []
    async with make(
        single, handler=lambda r: r(), batch_size=1, ageing=0.0
    ) as processor:
        calls = Calls(processor, nursery)
        await calls.begin("held", gate.hold)
        await gate.wait_entered()
        await calls.begin("ready", lambda: None)
        await calls.begin(
            "low", lambda: order.append("low"), priority=runtime.Priority.LOW
        )
        for i in range(10):
            await calls.begin(
                i, lambda i=i: order.append(i), priority=runtime.Priority.HIGH
            )
        gate.open()
    assert order == ["low", *range(10)]


async def test_producers_take_turns(single, make, gate, nursery):
    order = []
    async with make(single, handler=lambda r: r(), batch_size=1) as processor:
        calls = Calls(processor, nursery)
        await calls.begin("held", gate.hold)
        await gate.wait_entered()
        await calls.begin("ready", lambda: None)
        for name in ("a0", "a1", "a2", "b0"):
            await calls.begin(
                name, lambda name=name: order.append(name), producer=name[0]
            )
        gate.open()
    assert order == ["a0", "b0", "a1", "a2"]


# Deadlines and timeouts


async def test_expired_request_is_answered_and_not_run(single, make, gate, nursery):
    ran = []
    async with make(single, batch_size=1) as processor:
        calls = Calls(processor, nursery)
        await occupy(calls, gate)
        deadline = trio.current_time() + 0.01
        await calls.begin("late", lambda: ran.append(1), deadline=deadline)
        await wait_until(lambda: "late" in calls.outcomes)
        error = calls.error("late")
        assert isinstance(error, runtime.TaskCancelled)
        assert error.reason is runtime.CancelReason.DEADLINE
        gate.open()
    assert ran == []
    assert processor.statistics().withdrawn == 1


async def test_request_that_expires_in_its_batch_is_not_run(single, make, gate):
    """The worker looks at the deadline itself, just before it would begin."""
    ran = []
    async with make(single, batch_size=2) as processor:

        def slow():
            gate.hold()
            while trio_clock() < deadline:
                pass

        trio_clock = trio.lowlevel.current_clock().current_time
        deadline = trio.current_time() + 0.01
        async with trio.open_nursery() as nursery:

            async def call():
                nonlocal outcomes
                outcomes = await processor.execute_chunked_parallel(
                    [slow, lambda: ran.append(1)],
                    deadline=lambda request: math.inf if request is slow else deadline,
                )

            outcomes = []
            nursery.start_soon(call)
            await gate.wait_entered()
            gate.open()
    assert outcomes[0].unwrap() is None
    assert outcomes[1].error.reason is runtime.CancelReason.DEADLINE
    assert ran == []


async def test_timeout_of_a_request_that_waits_withdraws_it(
    single, make, gate, nursery
):
    ran = []
    async with make(single, batch_size=1) as processor:
        calls = Calls(processor, nursery)
        await occupy(calls, gate)
        await calls.begin("late", lambda: ran.append(1), timeout=0.01)
        await wait_until(lambda: "late" in calls.outcomes)
        assert calls.error("late").reason is runtime.CancelReason.TIMEOUT
        gate.open()
    assert ran == []


@pytest.fixture
async def jump(mock_clock, nursery):
    """Let time stand still, and jump ten seconds when a gate is entered.

    The test has to ask for the clock, too, or its time goes on.
    """

    async def jump_when_entered(gate):
        await gate.wait_entered()
        mock_clock.jump(10)

    return lambda gate: nursery.start_soon(jump_when_entered, gate)


async def test_timeout_of_a_request_that_runs_sets_its_token(
    single, make, gate, jump, mock_clock
):
    async with make(single, timeout=5) as processor:
        jump(gate)
        with pytest.raises(runtime.TaskCancelled, match="its timeout"):
            await processor.execute(lambda: gate.hold_while(runtime.check_cancelled))
        assert processor.statistics().withdrawn == 1


async def test_timeout_stops_nobody_elses_request(single, make, gate, jump, mock_clock):
    def stuck():
        gate.hold_while(runtime.check_cancelled)

    async with make(single, batch_size=10) as processor, trio.open_nursery() as nursery:
        calls = Calls(processor, nursery)
        jump(gate)
        nursery.start_soon(calls.call, "first", 1, {})
        nursery.start_soon(calls.call, "stuck", stuck, {"timeout": 5})
        nursery.start_soon(calls.call, "last", 3, {})
    assert calls.outcomes["first"].value == 1
    assert calls.error("stuck").reason is runtime.CancelReason.TIMEOUT
    assert calls.outcomes["last"].value == 3


async def test_value_that_comes_after_the_timeout_is_not_lost(
    single, make, gate, jump, mock_clock
):
    def late():
        with pytest.raises(runtime.JobCancelled):
            gate.hold_while(runtime.check_cancelled)
        return "late"

    async with make(single, timeout=5) as processor:
        jump(gate)
        assert await processor.execute(late) == "late"


async def test_timeout_that_abandons_answers_at_once(
    single, make, gate, jump, mock_clock
):
    async with make(single, timeout=5, on_timeout="abandon") as processor:
        jump(gate)
        with pytest.raises(runtime.TaskCancelled, match="its timeout"):
            await processor.execute(gate.hold)
        assert single.statistics().abandoned == 1
        gate.open()
    assert processor.statistics().in_flight == 0


# Interrupted at a timeout


class Endless:
    """A request of pure Python that never asks, and ends by itself only too late."""

    def __init__(self, gate):
        self.gate, self.ended_by = gate, []

    def __call__(self):
        too_late = time.monotonic() + TIMEOUT
        try:
            self.gate.enter()
            while time.monotonic() < too_late:
                pass
        except BaseException as error:
            self.ended_by.append(type(error))
            raise


@pytest.fixture
def endless(gate):
    return Endless(gate)


async def test_timeout_that_interrupts_ends_a_loop_that_never_asks(
    single, make, endless, jump, mock_clock
):
    async with make(single, timeout=5, on_timeout="interrupt") as processor:
        jump(endless.gate)
        with pytest.raises(runtime.TaskCancelled, match="its timeout"):
            await processor.execute(endless)
        assert await processor.execute(2) == 2
    assert endless.ended_by == [runtime.JobInterrupted]
    assert single.statistics().abandoned == 0
    assert processor.statistics().withdrawn == 1


async def test_timeout_that_interrupts_a_batch_handler(
    single, make, endless, jump, mock_clock
):
    async with make(
        single,
        handler=lambda requests: [request() for request in requests],
        takes_batch=True,
        timeout=5,
        on_timeout="interrupt",
    ) as processor:
        jump(endless.gate)
        (late,) = await processor.execute_parallel_batch([endless])
        assert late.error.reason is runtime.CancelReason.TIMEOUT
        assert endless.ended_by == [runtime.JobInterrupted]


async def test_timeout_interrupts_no_request_that_came_along(
    single, make, gate, make_gate, endless, jump, mock_clock
):
    """All are brought while the worker is held, so that one batch could take them."""
    gate_before, endless.gate = gate, make_gate()
    async with (
        make(single, batch_size=10, on_timeout="interrupt") as processor,
        trio.open_nursery() as nursery,
    ):
        calls = Calls(processor, nursery)
        await occupy(calls, gate_before)
        await calls.begin("first", 1)
        await calls.begin("endless", endless, timeout=5)
        await calls.begin("last", 3)
        jump(endless.gate)
        gate_before.open()
    assert calls.error("endless").reason is runtime.CancelReason.TIMEOUT
    assert endless.ended_by == [runtime.JobInterrupted]
    assert calls.outcomes["first"].value == 1
    assert calls.outcomes["last"].value == 3


async def test_timeout_interrupts_no_request_beside_it(
    pool, make, gate, make_gate, endless, jump, mock_clock
):
    endless.gate = make_gate()

    def beside():
        gate.hold_while(lambda: None)
        return "untouched"

    async with (
        make(pool, batch_size=1, on_timeout="interrupt") as processor,
        trio.open_nursery() as nursery,
    ):
        calls = Calls(processor, nursery)
        await calls.begin("beside", beside, timeout=1000)
        await gate.wait_entered()
        jump(endless.gate)
        await calls.begin("endless", endless, timeout=5)
        await wait_until(lambda: "endless" in calls.outcomes)
        gate.open()
    assert endless.ended_by == [runtime.JobInterrupted]
    assert calls.outcomes["beside"].value == "untouched"


# Retries


def failing(times, error=OSError):
    """Return a request that fails so often, then succeeds."""
    left = iter(range(times))

    def request():
        if next(left, None) is not None:
            raise error
        return "done"

    return request


async def test_failed_request_is_tried_again(inline, make, autojump_clock):
    policy = runtime.RetryPolicy(attempts=3, delay=10, jitter=0)
    async with make(inline, retry=policy) as processor:
        begin = trio.current_time()
        assert await processor.execute(failing(2)) == "done"
        assert trio.current_time() - begin == pytest.approx(30)
        statistics = processor.statistics()
    assert (statistics.processed, statistics.failed, statistics.retried) == (1, 0, 2)


async def test_retries_end(inline, make, autojump_clock):
    policy = runtime.RetryPolicy(attempts=3)
    async with make(inline, retry=policy) as processor:
        with pytest.raises(OSError):  # noqa: PT011  # it has no message
            await processor.execute(failing(3))
        assert processor.statistics().failed == 1


async def test_retries_without_a_delay_may_be_many(inline, make):
    policy = runtime.RetryPolicy(attempts=1200, delay=0)
    async with make(inline, retry=policy) as processor:
        assert await processor.execute(failing(1150)) == "done"


async def test_retry_on_a_single_class(inline, make, autojump_clock):
    policy = runtime.RetryPolicy(retry_on=OSError)
    async with make(inline, retry=policy) as processor:
        assert await processor.execute(failing(1, FileNotFoundError)) == "done"


async def test_retry_asks_no_code_of_the_classes(inline, make, autojump_clock):
    class Meta(type):
        def __subclasscheck__(cls, _other):
            raise ValueError

    class Asks(Exception, metaclass=Meta):
        pass

    policy = runtime.RetryPolicy(retry_on=(Asks, OSError))
    async with make(inline, retry=policy) as processor:
        assert await processor.execute(failing(1)) == "done"


async def test_other_errors_are_not_retried(inline, make, autojump_clock):
    policy = runtime.RetryPolicy(retry_on=(OSError,))
    async with make(inline, retry=policy) as processor:
        with pytest.raises(ValueError):  # noqa: PT011  # it has no message
            await processor.execute(failing(1, ValueError))


async def test_cancelled_while_it_waits_for_a_retry(inline, make, autojump_clock):
    policy = runtime.RetryPolicy(delay=1000)
    async with make(inline, retry=policy) as processor:
        with trio.move_on_after(1) as scope:
            await processor.execute(failing(1))
        assert scope.cancelled_caught
        assert processor.statistics().withdrawn == 1
        assert processor.statistics().in_flight == 0


async def test_deadline_while_it_waits_for_a_retry(inline, make, autojump_clock):
    policy = runtime.RetryPolicy(delay=1000)
    async with make(inline, retry=policy) as processor:
        with pytest.raises(runtime.TaskCancelled, match="its deadline"):
            await processor.execute(failing(1), deadline=trio.current_time() + 5)


# Batches that wait


async def test_delayed_batch_goes_when_it_is_full(inline, make, autojump_clock):
    async with make(inline, batch_size=3, batch_delay=1000) as processor:
        begin = trio.current_time()
        await processor.execute_parallel_batch(range(3))
        assert trio.current_time() == begin
        assert processor.statistics().batches == 1


async def test_delayed_batch_goes_when_its_time_has_come(inline, make, autojump_clock):
    async with make(inline, batch_size=3, batch_delay=10) as processor:
        begin = trio.current_time()
        await processor.execute_parallel_batch(range(2))
        assert trio.current_time() - begin == pytest.approx(10)
        assert processor.statistics().batches == 1


async def test_delayed_batch_goes_when_it_is_large(inline, make, autojump_clock):
    async with make(
        inline, batch_size=100, batch_delay=1000, max_batch_bytes=10
    ) as processor:
        begin = trio.current_time()
        await processor.execute_parallel_batch(["12345", "67890"])
        assert trio.current_time() == begin


async def test_delayed_batch_goes_when_the_processor_closes(
    inline, make, autojump_clock, nursery
):
    async with make(inline, batch_size=3, batch_delay=1000) as processor:
        calls = Calls(processor, nursery)
        await calls.begin("a", "a")
        begin = trio.current_time()
    assert trio.current_time() == begin
    await wait_all_tasks_blocked()
    assert calls.outcomes["a"].value == "a"


async def test_batches_adapt_to_the_target_time(inline, make):
    async with make(inline, batch_size=1, target_batch_time=10.0) as processor:
        await processor.execute_parallel_batch(range(2000))
        assert processor.statistics().mean_batch_size > 10


async def test_at_most_so_many_batches_are_out(pool, make, gate):
    async with (
        make(pool, batch_size=1, max_concurrent_batches=1) as processor,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(processor.execute, gate.hold)
        await gate.wait_entered()
        nursery.start_soon(processor.execute, 1)
        await wait_all_tasks_blocked()
        assert processor.statistics().queued == 1
        gate.open()
