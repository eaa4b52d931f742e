"""Every public call, for tests that disturb each of them at each of its steps.

A `Case` runs one call, or opens and leaves one block, and checks what comes of it if
nobody disturbs. `unbalanced` tells what is wrong with the books afterwards.
"""

import operator
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial

import jobs
import trio
from helpers import wait_until

import runtime

CASES = {}
# Enough for one task at each place, and for some that wait for one.
MANY = 7
NUMBERS = range(MANY)
DOUBLED = [2 * x for x in NUMBERS]


@dataclass
class Env:
    """What a case finds open."""

    backend: str
    pool: runtime.WorkerPool | None = None
    processor: runtime.ParallelProcessor | None = None
    limiter: trio.CapacityLimiter = field(
        default_factory=partial(trio.CapacityLimiter, 1)
    )

    def open_pool(self):
        """Open a small pool; for cases that open what they use."""
        return self.note(open_small_pool(self.backend))

    @asynccontextmanager
    async def note(self, opening):
        """Open something, and know it when the books are looked at."""
        async with opening as opened:
            if isinstance(opened, runtime.ParallelProcessor):
                self.processor = opened
            else:
                self.pool = opened
            yield opened


@dataclass
class Case:
    """One call.

    Attributes:
      run: Calls it, in what `open` has opened.
      needs: ``"pool"``, ``"processor"``; ``"block"`` for nothing: it opens what it
        uses; or ``"run"``: a Trio run of its own.
      options: Of the processor.
    """

    name: str
    run: Callable[[Env], Awaitable[None]]
    needs: str
    threads_only: bool
    options: dict

    @asynccontextmanager
    async def open(self, backend):
        """Open what the case needs."""
        env = Env(backend)
        async with AsyncExitStack() as stack:
            if self.needs in ("pool", "processor"):
                await stack.enter_async_context(env.open_pool())
            if self.needs == "processor":
                processor = make_processor(pool=env.pool, **self.options)
                await stack.enter_async_context(env.note(processor))
            yield env

    async def check_works(self, env):
        """Make one call more."""
        if env.processor is not None:
            assert await env.processor.execute(0) == 0
        elif env.pool is not None:
            assert await env.pool.spawn_cpu_work(jobs.double, 2) == 4


def case(needs="pool", *, threads_only=False, name=None, **options):
    def add(run):
        added = Case(name or run.__name__, run, needs, threads_only, options)
        assert added.name not in CASES
        CASES[added.name] = added
        return run

    return add


def cases_of(backend):
    """Return the cases that can run on a backend."""
    return [c for c in CASES.values() if backend == "threads" or not c.threads_only]


def open_small_pool(backend, **options):
    worker_count = 1 if backend == "interpreters" else 2  # each takes long to make
    return runtime.open_worker_pool(
        worker_count, backend=backend, queue_capacity=1, **options
    )


def make_processor(handler=jobs.double_and_look, pool=None, hooks=(), **config):
    return runtime.ParallelProcessor(
        handler,
        runtime.ParallelConfig(**{"batch_size": 2, "max_pending_tasks": 4} | config),
        pool=pool,
        **dict.fromkeys(hooks, pass_on),
    )


async def pass_on(value):
    await trio.lowlevel.checkpoint()
    return value


class NumbersLater:
    """An async source."""

    def __init__(self):
        self._numbers = iter(NUMBERS)

    def __aiter__(self):
        return self

    async def __anext__(self):
        await trio.lowlevel.checkpoint()
        for number in self._numbers:
            return number
        raise StopAsyncIteration


# The books


def unbalanced(env):
    """Return what is not as it was before the call."""
    found = {}
    if env.pool is not None:
        intake = env.pool._intake
        found |= {
            "work": list(intake.work),
            "abandoned": list(intake.abandoned),
            "unretrieved": list(intake._unretrieved),
            "tasks": list(intake.lane.tokens),
            "places": intake.places._free - 1 - env.pool.worker_count,
            "who waits for places": list(intake.places._waiting),
            "places of tasks": intake.lane._places.value - 1 - env.pool.worker_count,
            "running tasks": intake.lane._running.value - env.pool.worker_count,
            "waits": intake.patience._count,
            "running": intake.backend.running_jobs(),
            "waiting": intake.backend.num_waiting(),
        }
    if env.processor is not None:
        engine = env.processor._engine_or_none
        found |= {
            "requests": engine.counts.in_flight,
            "lanes": len(engine.lanes),
            "batches": list(engine._sent),
            "retries": list(engine._retrying),
            "hooks": engine._hooks.requests(),
            "places of requests": engine.admission.free - engine.admission.places,
            "who waits for those": list(engine.admission._waiting),
        }
    found["limiter"] = env.limiter.borrowed_tokens
    return {name: value for name, value in found.items() if value}


async def wait_balanced(env):
    """Wait until the books are balanced."""
    try:
        await wait_until(lambda: not unbalanced(env))
    except AssertionError:
        raise AssertionError(unbalanced(env)) from None


# One job

for way in ("wait", "abandon", "interrupt"):

    @case(name=f"call, {way}")
    async def call(env, way=way):
        pool = env.pool
        assert await pool.spawn_cpu_work(jobs.double_and_look, 1, on_cancel=way) == 2

    @case(name=f"call that asks, {way}")
    async def call_that_asks(env, way=way):
        ask = partial(env.pool.spawn_cpu_work, on_cancel=way)
        assert await ask(jobs.ask, jobs.double_at_home, 1) == 2
        assert await ask(jobs.ask_sync, jobs.double, 1) == 2


@case()
async def call_with_limiter(env):
    async with trio.open_nursery() as nursery:
        for number in range(3):
            nursery.start_soon(
                partial(env.pool.spawn_cpu_work, limiter=env.limiter),
                jobs.double_and_look,
                number,
            )


@case()
async def call_that_fails(env):
    try:
        await env.pool.spawn_cpu_work(jobs.fail, "as it should")
    except ValueError:
        return
    raise AssertionError("no error")


@case()
async def calls_at_the_bound(env):
    async with trio.open_nursery() as nursery:
        for number in NUMBERS:
            nursery.start_soon(env.pool.spawn_cpu_work, jobs.double_and_look, number)


@case("run")
async def call_of_the_default_pool(_env):
    assert await runtime.spawn_cpu_work(jobs.double, 1) == 2


@case()
async def submit_and_wait(env):
    submitted = [await env.pool.submit(jobs.double_and_look, x) for x in NUMBERS]
    assert [await job.wait() for job in submitted] == DOUBLED


@case()
async def submit_and_cancel(env):
    job = await env.pool.submit(jobs.double_and_look, 1, on_cancel="interrupt")
    job.cancel()
    try:
        await job.wait()
    except runtime.TaskCancelled:
        pass


@case()
async def spawn(env):
    for number in NUMBERS:
        await env.pool.spawn(pass_on, number)


@case()
async def spawn_what_calls(env):
    await env.pool.spawn(env.pool.spawn_cpu_work, jobs.double_and_look, 1)


# Many items


@case()
async def batch(env):
    results = env.pool.spawn_parallel_batch(NUMBERS, jobs.double_and_look)
    assert await results == DOUBLED


@case()
async def batch_that_fails(env):
    try:
        await env.pool.spawn_parallel_batch(
            NUMBERS, jobs.fail_once_in_a_while, on_cancel="interrupt"
        )
    except* ValueError:
        pass


@case()
async def batch_that_returns_errors(env):
    results = await env.pool.spawn_parallel_batch(
        iter(NUMBERS), jobs.fail_once_in_a_while, "return"
    )
    assert len(results) == MANY


@case()
async def batch_that_asks(env):
    ask = partial(jobs.ask, jobs.double_at_home)
    assert await env.pool.spawn_parallel_batch(NUMBERS, ask) == DOUBLED


@case()
async def chunks(env):
    results = env.pool.spawn_chunked_parallel(NUMBERS, 2, jobs.double_and_look)
    assert await results == DOUBLED


@case()
async def whole_chunks(env):
    results = env.pool.spawn_chunked_parallel(
        NUMBERS, 2, jobs.chunk_doubled, takes_chunk=True
    )
    assert await results == DOUBLED


@case()
async def map_in_order(env):
    async with env.pool.map(jobs.double_and_look, NUMBERS, max_in_flight=3) as results:
        assert [result async for result in results] == DOUBLED


@case()
async def map_as_ready(env):
    async with env.pool.map(
        jobs.double_and_look,
        NumbersLater(),
        max_in_flight=3,
        ordered=False,
        on_cancel="interrupt",
    ) as results:
        assert sorted([result async for result in results]) == DOUBLED


@case()
async def map_that_fails(env):
    try:
        async with env.pool.map(jobs.fail_once_in_a_while, NUMBERS) as results:
            async for _ in results:
                pass
    except* ValueError:
        pass


@case()
async def map_left_early(env):
    async with env.pool.map(jobs.double_and_look, NUMBERS) as results:
        async for result in results:
            assert result == 0
            break


# Data parallelism


@case(threads_only=True)
async def join(env):
    halves = jobs.double_and_look, 1, jobs.double_and_look, 2
    assert await env.pool.join(*halves) == (2, 4)


@case(threads_only=True)
async def broadcast(env):
    assert await env.pool.broadcast(jobs.double_and_look, 1) == [2, 2]


def add_terminals():
    both = jobs.is_even
    terminals = {
        "sum": ((), sum(DOUBLED)),
        "count": ((), MANY),
        "collect": ((), DOUBLED),
        "min": ((), 0),
        "max": ((), DOUBLED[-1]),
        "reduce": ((operator.add,), sum(DOUBLED)),
        "reduce_deterministic": ((operator.add,), sum(DOUBLED)),
        "for_each": ((jobs.same,), None),
        "counter": ((), None),
        "any": ((both,), True),
        "all": ((both,), True),
        "find_any": ((both,), None),
        "find_first": ((both,), 0),
        "position": ((both,), 0),
        "partition": ((both,), (DOUBLED, [])),
    }
    for name, (arguments, expected) in terminals.items():

        @case(name=f"par_iter, {name}")
        async def terminal(env, name=name, arguments=arguments, expected=expected):
            chain = env.pool.par_iter(NUMBERS).map(jobs.double_and_look)
            result = await getattr(chain, name)(*arguments)
            assert expected is None or result == expected


add_terminals()


@case()
async def par_iter_of_a_stream(env):
    chain = env.pool.par_iter(NumbersLater()).map(jobs.double_and_look)
    assert await chain.sum() == sum(DOUBLED)


@case()
async def par_iter_of_an_iterator(env):
    chain = env.pool.par_iter(iter(NUMBERS)).map(jobs.double_and_look)
    assert await chain.sum() == sum(DOUBLED)


# Blocks


@case("block")
async def open_a_pool(env):
    async with env.open_pool():
        pass


@case("block")
async def open_a_pool_with_work(env):
    async with env.open_pool() as pool:
        await pool.submit(jobs.double_and_look, 1)
        await pool.spawn(pass_on, 1)
        pool.spawn_nowait(pass_on, 2)
        assert await pool.spawn_cpu_work(jobs.double, 1) == 2


@case("block")
async def open_a_watched_pool(env):
    async with env.note(open_small_pool(env.backend, stuck_after=60)) as pool:
        assert await pool.spawn_cpu_work(jobs.double, 1) == 2


@case("block", threads_only=True)
async def open_an_inline_pool(env):
    async with runtime.testing.inline_pool() as pool:
        assert await pool.spawn_cpu_work(jobs.double_and_look, 1) == 2


for grace in (0, 30):

    @case("block", name=f"shutdown({grace})")
    async def shutdown(env, grace=grace):
        async with env.open_pool() as pool:
            await pool.submit(jobs.double_and_look, 1)
            await pool.shutdown(grace)


@case("block")
async def open_a_processor(env):
    processor = make_processor(backend=env.backend, worker_count=1)
    async with env.note(processor):
        assert await processor.execute(1) == 2


# The processor

for options in (
    {"hooks": ("prepare", "finish")},
    {"hooks": ("finish",), "handler": jobs.fail_once_in_a_while, "attempts": 3},
    {"batch_delay": 0.001},
    {"timeout": 0.001, "on_timeout": "abandon"},
):

    @case("block", name=f"open a processor, {', '.join(options)}")
    async def open_a_busy_processor(env, options=options):
        options = dict(options)
        if attempts := options.pop("attempts", None):
            options["retry"] = runtime.RetryPolicy(attempts=attempts, delay=0.0)
        async with (
            env.open_pool() as pool,
            env.note(make_processor(pool=pool, **options)) as processor,
        ):
            await processor.execute_parallel_batch(NUMBERS)


HOOKS = ("prepare", "finish")
RETRY = runtime.RetryPolicy(attempts=3, delay=0.0)


@case("processor")
async def execute(env):
    assert await env.processor.execute(1) == 2


@case("processor", hooks=HOOKS)
async def execute_with_hooks(env):
    assert await env.processor.execute(1) == 2


for way in ("wait", "abandon", "interrupt"):

    @case("processor", on_timeout=way, name=f"execute with a timeout, {way}")
    async def execute_with_timeout(env):
        try:
            assert await env.processor.execute(1, timeout=0.001) == 2
        except runtime.TaskCancelled:
            pass


@case("processor")
async def execute_with_deadline(env):
    try:
        await env.processor.execute(1, deadline=trio.current_time() + 0.0005)
    except runtime.TaskCancelled:
        pass


for mode in ("wait", "refuse", "drop_oldest"):

    @case("processor", backpressure=mode, name=f"execute at the bound, {mode}")
    async def execute_at_the_bound(env):
        async def ask(number):
            try:
                assert await env.processor.execute(number) == 2 * number
            except runtime.BackpressureExceeded:
                pass

        async with trio.open_nursery() as nursery:
            for number in NUMBERS:
                nursery.start_soon(ask, number)

    @case("processor", backpressure=mode, name=f"process at the bound, {mode}")
    async def process_at_the_bound(env):
        async with env.processor.process(NUMBERS) as outcomes:
            assert len([outcome async for outcome in outcomes]) == MANY


@case("processor", hooks=HOOKS)
async def execute_batch(env):
    outcomes = await env.processor.execute_parallel_batch(NUMBERS)
    assert [outcome.unwrap() for outcome in outcomes] == DOUBLED


@case("processor")
async def execute_chunked(env):
    outcomes = await env.processor.execute_chunked_parallel(iter(NUMBERS))
    assert [outcome.unwrap() for outcome in outcomes] == DOUBLED


@case("processor", handler=jobs.fail_once_in_a_while, retry=RETRY, hooks=("finish",))
async def execute_with_retries(env):
    outcomes = await env.processor.execute_parallel_batch(NUMBERS)
    assert len(outcomes) == MANY


@case("processor", hooks=HOOKS)
async def process_in_order(env):
    async with env.processor.process(NUMBERS) as outcomes:
        assert [outcome.unwrap() async for outcome in outcomes] == DOUBLED


@case("processor", batch_delay=0.0005)
async def process_as_ready(env):
    async with env.processor.process(NumbersLater(), ordered=False) as outcomes:
        found = [outcome.unwrap() async for outcome in outcomes]
    assert sorted(found) == DOUBLED


@case("processor", handler=jobs.fail_once_in_a_while, retry=RETRY)
async def process_that_fails(env):
    try:
        async with env.processor.process(NUMBERS, on_error="raise") as outcomes:
            async for _ in outcomes:
                pass
    except* ValueError:
        pass


@case("processor")
async def process_a_channel(env):
    async def send():
        with sending, suppress(trio.BrokenResourceError):  # the other end is closed
            for number in NUMBERS:
                await sending.send(number)

    sending, receiving = trio.open_memory_channel(1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        with receiving:  # an async block would replace a Ctrl-C by trio.Cancelled
            async with env.processor.process(receiving) as outcomes:
                assert [outcome.unwrap() async for outcome in outcomes] == DOUBLED


@case("processor")
async def process_into(env):
    sending, receiving = trio.open_memory_channel(MANY)
    await env.processor.process_into(NUMBERS, sending)
    assert receiving.statistics().current_buffer_used == MANY
