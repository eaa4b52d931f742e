"""Every accepted request is answered, wherever it is and whatever ends (REQ-6, REQ-7).

`PLACES` are the places of a request's way, `ENDINGS` what may be cancelled, closed or
broken meanwhile. What is held at the gate is let go only after the ending has had its
effect.
"""

import signal

import handlers
import outcome
import pytest
import trio
from helpers import TIMEOUT, wait_until
from trio.testing import wait_all_tasks_blocked

import runtime

RUNNING = ["running", "running, to be finished", "running, to be retried"]
IN_TRIO = ["prepare", "finish", "retry delay"]
PLACES = ["admission", "queue", "sent", *RUNNING, *IN_TRIO]
ENDINGS = ["block", "caller", "ctrl-c", "shutdown", "broken"]

# Longer than any test, where its end would be a fault.
FOR_EVER = 1000


@pytest.fixture(params=["threads", "interpreters"])
def backend(request):
    from runtime import _backends

    reason = _backends.why_unavailable(request.param)
    if reason is not None:
        pytest.skip(reason)
    return request.param


@trio.lowlevel.enable_ki_protection
def press_ctrl_c():
    """Have Trio raise it in the main task."""
    signal.raise_signal(signal.SIGINT)


class Scene:
    """One request at one place, until it is answered."""

    def __init__(self, backend, place, ending, gate):
        self.place, self.ending, self.gate = place, ending, gate
        self.outcomes, self.begun = {}, []
        self.block, self.caller = trio.CancelScope(), trio.CancelScope()
        self.hook_begun, self.hook_may_end = trio.Event(), trio.Event()
        self.done = trio.Event()
        self.pool = runtime.open_worker_pool(1, backend=backend)
        # A pool that is closed elsewhere says nothing to a request that waits.
        delay = 0.01 if ending == "shutdown" else FOR_EVER
        self.config = runtime.ParallelConfig(
            batch_size=1,
            max_pending_tasks=1 if place == "admission" else 10,
            retry=runtime.RetryPolicy(attempts=2, delay=delay, jitter=0),
        )
        self.hooks = {}
        if place == "prepare":
            self.hooks["prepare"] = self.hook
        if place in ("finish", "running, to be finished"):
            self.hooks["finish"] = self.hook

    async def hook(self, value):
        self.begun.append("hook")
        self.hook_begun.set()
        await self.hook_may_end.wait()
        return value

    @property
    def is_answered_at_once(self):
        """Whether the request must not wait for what runs to end."""
        if self.ending == "shutdown":  # which leaves behind what is held
            return self.place not in IN_TRIO
        return self.ending == "broken" or self.place not in RUNNING

    async def run(self):
        with trio.fail_after(TIMEOUT):
            async with trio.open_nursery() as nursery:
                await self.open(nursery)

    async def open(self, nursery):
        with self.block:
            async with self.pool as pool:
                self.processor = runtime.ParallelProcessor(
                    handlers.act, self.config, pool=pool, **self.hooks
                )
                async with self.processor as processor:
                    await self.begin(nursery, processor)
                    nursery.start_soon(self.end, pool)
                    if self.ending in ("block", "ctrl-c"):
                        await trio.sleep_forever()
                    await self.done.wait()

    async def begin(self, nursery, processor):
        """Bring the request to its place."""

        async def call(name, what, scope):
            with scope:
                self.outcomes[name] = await outcome.acapture(
                    processor.execute, (what, self.gate)
                )

        def begin(name, what="", scope=None):
            nursery.start_soon(call, name, what, scope or trio.CancelScope())

        if self.place in ("admission", "queue", "sent"):
            begin("held", "hold")
            await self.gate.wait_entered()
        if self.place == "queue":
            begin("next")
        await wait_all_tasks_blocked()
        what = "hold" if self.place in RUNNING else ""
        what += " fail" if "retr" in self.place else ""
        begin("x", what, self.caller)
        if self.place in RUNNING:
            await self.gate.wait_entered()
        elif self.place == "retry delay":
            await wait_until(lambda: processor.statistics().retried)
        elif self.hooks:
            await self.hook_begun.wait()
        await wait_all_tasks_blocked()
        assert "x" not in self.outcomes
        assert processor.statistics().queued == (self.place == "queue")

    async def end(self, pool):
        begun = self.count_begun()
        match self.ending:
            case "block":
                self.block.cancel()
            case "caller":
                self.caller.cancel()
            case "ctrl-c":
                press_ctrl_c()
            case "shutdown":
                await pool.shutdown(0)
            case "broken":
                pool._intake.break_down(RuntimeError("a bug"))
        with trio.CancelScope(shield=True):
            await wait_all_tasks_blocked()
            assert not self.is_answered_at_once or "x" in self.outcomes
            self.gate.open()
            self.hook_may_end.set()
            await wait_until(lambda: "x" in self.outcomes)
            self.done.set()
        assert self.count_begun() == begun

    def count_begun(self):
        """Return how many hooks and further attempts have begun, or are to begin."""
        return len(self.begun), self.processor.statistics().retried


def expected(place, ending):
    """Return what the answer may be: the handler's value, or types of errors."""
    if ending == "broken":
        return runtime.InternalError, runtime.TaskCancelled, runtime.PoolClosedError
    if ending == "shutdown":
        if place == "finish":
            return ("",)
        return runtime.TaskCancelled, runtime.PoolClosedError
    if place == "running":
        return ("hold",)
    if place == "running, to be retried":
        return (KeyError,)
    if ending == "caller":
        return (trio.Cancelled,)
    if place == "admission":
        return (runtime.PoolClosedError,)
    return (runtime.TaskCancelled,)


LEFT = {"block": None, "caller": None, "shutdown": None}
LEFT |= {"ctrl-c": KeyboardInterrupt, "broken": runtime.InternalError}


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("place", PLACES)
def test_every_request_is_answered(backend, place, ending, gate):
    scene = Scene(backend, place, ending, gate)
    if LEFT[ending] is None:
        trio.run(scene.run)
    else:
        with pytest.raises(BaseExceptionGroup) as caught:
            trio.run(scene.run)
        assert caught.group_contains(LEFT[ending])
    answer = scene.outcomes["x"]
    got = answer.value if isinstance(answer, outcome.Value) else type(answer.error)
    assert got in expected(place, ending)
    statistics = scene.processor.statistics()
    assert statistics.in_flight == statistics.queued == 0


# What goes on although the scope around the block is cancelled


@pytest.fixture
def open_processor(pool):
    """Open a processor of `handlers.act` whose scope `cancelled` cancels."""

    def open_processor(*, prepare=None, finish=None, **options):
        return runtime.ParallelProcessor(
            handlers.act,
            runtime.ParallelConfig(**options),
            pool=pool,
            prepare=prepare,
            finish=finish,
        )

    return open_processor


async def pass_on(value):
    await trio.lowlevel.checkpoint()
    return value


OPTIONS = {
    "nothing": {},
    "hooks": {"prepare": pass_on, "finish": pass_on},
    "retries": {"retry": runtime.RetryPolicy(attempts=3, delay=0.001)},
    "delayed batches": {"batch_delay": 0.001},
    "time limits": {"timeout": FOR_EVER},
    "refusal": {"backpressure": "refuse"},
    "drops": {"backpressure": "drop_oldest"},
    "a small bound": {"max_pending_tasks": 1},
}


@pytest.mark.parametrize("option", OPTIONS)
async def test_shielded_body_goes_on(open_processor, option):
    requests = [("a", None), ("fail", None), ("b", None)]
    later = trio.current_time() + FOR_EVER
    with trio.CancelScope() as scope:
        async with open_processor(**OPTIONS[option]) as processor:
            scope.cancel()
            with trio.CancelScope(shield=True):
                await wait_all_tasks_blocked()
                assert await processor.execute(("x", None), deadline=later) == "x"
                a, fail, b = await processor.execute_parallel_batch(requests)
                assert (a.value, b.value) == ("a", "b")
                assert isinstance(fail.error, KeyError)
                async with processor.process(requests) as responses:
                    kinds = [type(r) async for r in responses]
                assert len(kinds) == 3
            await trio.sleep_forever()
    assert processor.statistics().in_flight == 0


async def test_shielded_body_can_count_on_timeouts(open_processor, gate):
    with trio.CancelScope() as scope:
        async with open_processor(on_timeout="abandon") as processor:
            scope.cancel()
            with trio.CancelScope(shield=True):
                await wait_all_tasks_blocked()
                with pytest.raises(runtime.TaskCancelled, match="its timeout"):
                    await processor.execute(("hold", gate), timeout=0.01)
            gate.open()


async def test_shielded_reader_of_a_stream_is_told_that_it_was_cut(open_processor):
    async with open_processor() as processor:
        with trio.CancelScope() as scope:
            async with processor.process(never_ending()) as responses:
                scope.cancel()
                with (
                    trio.CancelScope(shield=True),
                    pytest.raises(runtime.TaskCancelled),
                ):
                    async for _ in responses:
                        pass
        assert processor.statistics().in_flight == 0


async def never_ending():
    while True:
        yield "", None
        await trio.lowlevel.checkpoint()


# What is ended, and what it shares its way with


async def test_ended_stream_is_not_tried_again_and_holds_up_no_other(
    open_processor, gate
):
    policy = runtime.RetryPolicy(delay=FOR_EVER)
    async with open_processor(batch_size=1, retry=policy) as processor:
        async with processor.process([("hold fail", gate)]):
            await gate.wait_entered()
            async with processor.process([("other", None)]) as others:
                assert [r.value async for r in others] == ["other"]
            gate.open()
        statistics = processor.statistics()
    assert (statistics.failed, statistics.retried) == (1, 0)


async def test_timed_out_request_is_not_tried_again(open_processor, gate):
    policy = runtime.RetryPolicy(delay=FOR_EVER)
    async with open_processor(retry=policy) as processor:

        async def time_out():
            await gate.wait_entered()
            (batch,) = processor._engine._sent
            processor._engine._time_out(batch.requests[0])
            assert batch.token.is_set
            gate.open()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(time_out)
            with pytest.raises(KeyError):
                await processor.execute(("hold fail", gate), timeout=FOR_EVER)


async def test_batch_is_stopped_when_the_last_caller_has_left(pool, gate):
    async def call(request, scope):
        with scope:
            await processor.execute(request)

    config = runtime.ParallelConfig(batch_size=2, batch_delay=FOR_EVER)
    async with (
        runtime.ParallelProcessor(handlers.look, config, pool=pool) as processor,
        trio.open_nursery() as nursery,
    ):
        first, last = trio.CancelScope(), trio.CancelScope()
        nursery.start_soon(call, gate, first)
        nursery.start_soon(call, gate, last)
        await gate.wait_entered()
        (batch,) = processor._engine._sent
        first.cancel()
        await wait_all_tasks_blocked()
        assert not batch.token.is_set
        last.cancel()
        await wait_until(lambda: processor.statistics().in_flight == 0)
    assert not gate.is_open


async def test_deadline_does_not_end_a_request_that_is_being_finished(open_processor):
    async def finish(value):
        (request,) = processor._engine._hooks.requests()
        processor._engine._expire(request)
        await trio.lowlevel.checkpoint()
        return value

    later = trio.current_time() + FOR_EVER
    async with open_processor(finish=finish) as processor:
        assert await processor.execute(("x", None), deadline=later) == "x"


# Hooks that end in their own way


@pytest.mark.parametrize("hook", ["prepare", "finish"])
@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, GeneratorExit])
async def test_hook_that_raises_what_is_no_outcome_ends_the_block(
    open_processor, hook, error, gate
):
    answers = []

    async def call(processor, request):
        answers.append(await outcome.acapture(processor.execute, request))

    async def raise_it(value):
        if "bad" in value:
            raise error
        return value

    async def open_after_the_first_answer():
        await wait_until(lambda: answers)
        gate.open()

    async with trio.open_nursery() as nursery:
        with pytest.RaisesGroup(error):
            async with open_processor(batch_size=1, **{hook: raise_it}) as processor:
                nursery.start_soon(call, processor, ("hold", gate))
                await gate.wait_entered()
                nursery.start_soon(open_after_the_first_answer)
                nursery.start_soon(call, processor, ("bad", gate))
                await trio.sleep_forever()
    bad, held = answers
    assert isinstance(bad.error, runtime.TaskCancelled)
    if hook == "prepare":
        assert held.value == "hold"
    else:  # its own hook has not begun any more
        assert isinstance(held.error, runtime.TaskCancelled)


@pytest.mark.parametrize("hook", ["prepare", "finish"])
@pytest.mark.parametrize("is_group", [False, True])
async def test_hook_that_raises_another_tasks_cancelled_ends_its_request_alone(
    open_processor, hook, is_group
):
    with trio.CancelScope() as scope:
        scope.cancel()
        cancelled = (await outcome.acapture(trio.sleep, 0)).error
    if is_group:
        cancelled = BaseExceptionGroup("", [cancelled])

    async def raise_it(value):
        if "bad" in value:
            raise cancelled
        return value

    async with open_processor(**{hook: raise_it}) as processor:
        with pytest.raises(runtime.TaskCancelled, match="itself"):
            await processor.execute(("bad", None))
        assert await processor.execute(("good", None)) == "good"


async def test_withdrawn_hook_that_fails_harms_nobody(open_processor):
    async def fail():
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError  # while it is cancelled

    async def prepare(value):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fail)
            nursery.start_soon(trio.sleep_forever)
        return value

    async with open_processor(prepare=prepare) as processor:
        with trio.move_on_after(0.01) as scope:
            await processor.execute(("x", None))
        assert scope.cancelled_caught
        await wait_all_tasks_blocked()
    assert processor.statistics().withdrawn == 1


# What an answer says of its end


async def reason_of(processor, request, **options):
    with pytest.raises(runtime.TaskCancelled) as caught:
        await processor.execute(request, **options)
    return caught.value.reason


async def test_reason_of_a_request(pool, gate, make_gate):
    reason = runtime.CancelReason
    config = runtime.ParallelConfig(on_timeout="abandon")
    async with runtime.ParallelProcessor(handlers.act, config, pool=pool) as processor:
        now, later = trio.current_time(), trio.current_time() + FOR_EVER
        late = await reason_of(processor, ("x", None), deadline=now)
        assert late is reason.DEADLINE
        slow = await reason_of(processor, ("hold", gate), timeout=0.01)
        assert slow is reason.TIMEOUT
        gate.open()
        itself = await reason_of(processor, ("end", None), deadline=later)
        assert itself is reason.ITSELF
        last = make_gate()
        async with trio.open_nursery() as nursery:

            async def call():
                ended = await reason_of(processor, ("hold", last))
                assert ended is reason.SHUTDOWN

            nursery.start_soon(call)
            await last.wait_entered()
            await pool.shutdown(0)
            last.open()


async def test_deadline_that_passes_with_the_worker(pool, gate):
    config = runtime.ParallelConfig(batch_size=2, batch_delay=FOR_EVER)
    async with (
        runtime.ParallelProcessor(handlers.act, config, pool=pool) as processor,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(processor.execute, ("hold", gate))
        await wait_all_tasks_blocked()

        async def call():
            now = trio.current_time()  # passes before the batch has come to it
            ended = await reason_of(processor, ("x", None), deadline=now)
            assert ended is runtime.CancelReason.DEADLINE

        nursery.start_soon(call)
        await gate.wait_entered()
        gate.open()


@pytest.mark.parametrize("is_whole", [False, True])
async def test_reason_of_a_processor_that_is_left(pool, gate, is_whole):
    handler = handlers.look_all if is_whole else handlers.look
    async with trio.open_nursery() as nursery:

        async def call(processor):
            assert await reason_of(processor, gate) is runtime.CancelReason.CLOSED

        with trio.CancelScope() as scope:
            async with runtime.ParallelProcessor(
                handler, pool=pool, takes_batch=is_whole
            ) as processor:
                nursery.start_soon(call, processor)
                await gate.wait_entered()
                scope.cancel()
                await trio.sleep_forever()
