"""A processor's promises, over every backend; handlers are in `handlers`."""

import subprocess
import sys
import threading

import handlers
import outcome
import pytest
import trio

import runtime
from runtime._backends import BACKENDS, why_unavailable


@pytest.fixture(params=BACKENDS)
def backend(request):
    reason = why_unavailable(request.param)
    if reason is not None:
        pytest.skip(reason)
    return request.param


def open_processor(handler, backend, *, takes_batch=False, **options):
    config = runtime.ParallelConfig(worker_count=2, backend=backend, **options)
    return runtime.ParallelProcessor(handler, config, takes_batch=takes_batch)


async def test_every_request_has_its_outcome(backend):
    async with open_processor(handlers.invert, backend, batch_size=3) as processor:
        outcomes = await processor.execute_parallel_batch(range(20))
        statistics = processor.statistics()
    failed = outcomes.pop(0)
    assert isinstance(failed.error, ZeroDivisionError)
    assert outcomes == [outcome.Value(1 / number) for number in range(1, 20)]
    assert (statistics.processed, statistics.failed) == (19, 1)
    assert statistics.latency.count == statistics.run_time.count == 20
    assert statistics.useful_ns > 0
    assert sum(statistics.worker_utilization) > 0


async def test_a_handler_of_batches(backend):
    async with open_processor(
        handlers.double_all, backend, takes_batch=True
    ) as processor:
        outcomes = await processor.execute_chunked_parallel(range(25))
    assert outcomes == [outcome.Value(2 * number) for number in range(25)]


async def test_a_handler_of_batches_that_returns_too_few(backend):
    async with open_processor(
        handlers.too_few, backend, takes_batch=True, batch_size=5
    ) as processor:
        outcomes = await processor.execute_chunked_parallel(range(5))
    for each in outcomes:
        with pytest.raises(ValueError, match="too_few returned 4 results for 5 items"):
            each.unwrap()


async def test_a_stream_keeps_its_order(backend):
    async with (
        open_processor(handlers.double, backend) as processor,
        processor.process(range(200)) as responses,
    ):
        values = [response.unwrap() async for response in responses]
    assert values == [2 * number for number in range(200)]


async def test_a_request_that_ends_itself_is_cancelled(backend):
    async with open_processor(handlers.cancel_odd, backend) as processor:
        outcomes = await processor.execute_parallel_batch(range(4))
    assert outcomes[::2] == [outcome.Value(0), outcome.Value(2)]
    for each in outcomes[1::2]:
        with pytest.raises(runtime.TaskCancelled, match="itself"):
            each.unwrap()


async def test_system_exit_is_an_outcome(backend):
    async with open_processor(handlers.leave_at_zero, backend) as processor:
        outcomes = await processor.execute_parallel_batch(range(3))
        assert isinstance(outcomes[0].error, SystemExit)
        assert await processor.execute(7) == 7


async def test_requests_run_in_their_callers_context(backend):
    answers = {}

    async def ask(name):
        handlers.greeting.set(name)
        answers[name] = await processor.execute(None)

    async with (
        open_processor(handlers.greet, backend) as processor,
        trio.open_nursery() as nursery,
    ):
        for name in "abcdef":
            nursery.start_soon(ask, name)
    assert answers == {name: name for name in "abcdef"}


async def test_a_cancelled_caller_sets_the_token(backend, gate):
    async with open_processor(handlers.look, backend) as processor:
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(processor.execute, gate)
                await gate.wait_entered()
                scope.cancel()
        assert scope.cancelled_caught
        assert processor.statistics().in_flight == 0


async def test_a_timeout_interrupts(backend, gate):
    async with open_processor(
        handlers.spin, backend, timeout=0.2, on_timeout="interrupt"
    ) as processor:
        with pytest.raises(runtime.TaskCancelled, match="its timeout"):
            await processor.execute(gate)


async def test_a_timeout_leaves_the_request_behind(backend, gate):
    async with open_processor(
        handlers.hold, backend, timeout=0.05, on_timeout="abandon"
    ) as processor:
        with pytest.raises(runtime.TaskCancelled, match="its timeout"):
            await processor.execute(gate)
        gate.open()


async def test_an_expired_request_is_not_run(backend, gate):
    async with open_processor(handlers.hold, backend) as processor:
        with pytest.raises(runtime.TaskCancelled, match="its deadline"):
            await processor.execute(gate, deadline=trio.current_time())


async def test_the_monitor_hears_of_each_batch(backend):
    reports = []

    class Monitor:
        def note_batch(self, report):
            reports.append(report)

        def note_refused(self, _time):
            raise AssertionError

    processor = open_processor(handlers.invert, backend, batch_size=2)
    async with processor.with_performance_monitor(Monitor()):
        await processor.execute_parallel_batch(range(10))
    assert sum(report.size for report in reports) == 10
    assert sum(report.failed for report in reports) == 1
    assert {report.worker_index for report in reports} <= {0, 1}
    assert all(report.elapsed_ns > 0 for report in reports)


# What crosses, and what does not


async def test_a_request_that_cannot_cross_harms_no_other(interpreters):
    requests = [1, threading.Lock(), 3, lambda: None, 5]
    async with open_processor(handlers.double, interpreters) as processor:
        outcomes = await processor.execute_chunked_parallel(requests)
        statistics = processor.statistics()
    assert outcomes[::2] == [outcome.Value(2), outcome.Value(6), outcome.Value(10)]
    for each in outcomes[1::2]:
        with pytest.raises(runtime.CrossingError, match=r"^request cannot cross"):
            each.unwrap()
    assert (statistics.processed, statistics.failed) == (3, 2)


async def test_a_response_that_cannot_cross_harms_no_other(interpreters):
    async with open_processor(handlers.lock_for_odd, interpreters) as processor:
        outcomes = await processor.execute_chunked_parallel(range(4))
    assert outcomes[::2] == [outcome.Value(0), outcome.Value(2)]
    for each in outcomes[1::2]:
        with pytest.raises(runtime.CrossingError, match="response cannot cross"):
            each.unwrap()


async def test_a_handler_that_cannot_cross_does_not_open(interpreters):
    processor = open_processor(lambda request: request, interpreters)
    with pytest.raises(runtime.CrossingError, match=r"handler cannot cross.*<lambda>"):
        await processor.__aenter__()


async def test_a_resent_request_has_all_its_attempts(interpreters):
    """To be sent alone because of a neighbour is not to have failed."""
    policy = runtime.RetryPolicy(attempts=2, delay=0)
    async with open_processor(handlers.invert, interpreters, retry=policy) as processor:
        outcomes = await processor.execute_chunked_parallel([0, threading.Lock()])
        assert processor.statistics().retried == 1
    assert isinstance(outcomes[0].error, ZeroDivisionError)


UNGUARDED = """
import runtime, trio

def handle(request):
    return request

async def main():
    config = runtime.ParallelConfig(backend="interpreters")
    async with runtime.ParallelProcessor(handle, config) as processor:
        await processor.execute(1)

trio.run(main)
"""


def test_a_script_without_a_guard_is_told_so(interpreters, tmp_path):
    """A worker that looks for the handler runs the script, which opens a pool."""
    script = tmp_path / "unguarded.py"
    script.write_text(UNGUARDED)
    done = subprocess.run(
        [sys.executable, "-P", script],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert "no pool of its own" in last
    assert "__main__" in last
