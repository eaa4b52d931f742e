"""A bug of ours loses no request: whoever waits gets an `InternalError`."""

import outcome
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import runtime


@pytest.fixture
def broken(monkeypatch):
    """Have a method of a processor's engine raise."""

    def broken(processor, method):
        def fail(*_):
            raise LookupError(method)

        monkeypatch.setattr(processor._engine, method, fail)

    return broken


def is_fault(result, method):
    error = result.error
    assert type(error) is runtime.InternalError
    assert type(error.__cause__) is LookupError
    assert str(error.__cause__) == method
    return True


async def begin(nursery, processor, results, request, **options):
    async def call():
        results.append(
            await outcome.acapture(lambda: processor.execute(request, **options))
        )

    nursery.start_soon(call)
    await wait_all_tasks_blocked()


@pytest.mark.parametrize("method", ["_learn", "_returned"])
async def test_fault_when_a_batch_is_back_answers_what_waits(
    single, make, gate, broken, caplog, method
):
    results = []
    async with make(single, batch_size=1) as processor:
        broken(processor, method)
        async with trio.open_nursery() as nursery:
            await begin(nursery, processor, results, gate.hold)
            for _ in range(5):  # of these some are sent, and some wait
                await begin(nursery, processor, results, int)
            gate.open()
        assert len(results) == 6
        assert all(is_fault(result, method) for result in results)
        with pytest.raises(runtime.PoolClosedError):
            await processor.execute(1)
    assert processor.statistics().in_flight == 0
    assert any("failed and closes" in message for message in caplog.messages)
    caplog.clear()  # its tracebacks keep the batches


async def test_fault_of_a_timeout_answers_its_request(single, make, gate, broken):
    results = []
    async with make(single, batch_size=1) as processor:
        broken(processor, "_time_out")
        async with trio.open_nursery() as nursery:
            for _ in range(3):  # so many are sent; the last one waits
                await begin(nursery, processor, results, gate.hold)
            await begin(nursery, processor, results, int, timeout=0.001)
            while not results:
                await trio.lowlevel.checkpoint()
            assert is_fault(results[0], "_time_out")
            gate.open()
    assert processor.statistics().in_flight == 0


async def test_fault_of_a_retry_answers_its_request(single, make, broken):
    policy = runtime.RetryPolicy(attempts=3, delay=0.001)
    async with make(single, retry=policy) as processor:
        broken(processor, "_retry")
        result = await outcome.acapture(processor.execute, lambda: 1 / 0)
        assert is_fault(result, "_retry")


async def test_fault_of_a_delayed_batch_answers_its_requests(single, make, broken):
    async with make(single, batch_delay=0.001) as processor:
        result = []
        async with trio.open_nursery() as nursery:
            await begin(nursery, processor, result, 1)
            broken(processor, "_send")
        assert is_fault(result[0], "_send")
