"""The task that waits for one request, when it is cancelled."""

import pytest
import trio
from helpers import wait_until
from trio.testing import wait_all_tasks_blocked

import runtime


async def test_cancelled_caller_withdraws_what_waits(single, make, gate):
    ran = []
    async with make(single, batch_size=1) as processor, trio.open_nursery() as nursery:
        nursery.start_soon(processor.execute, gate.hold)
        await gate.wait_entered()
        nursery.start_soon(processor.execute, 1)
        await wait_all_tasks_blocked()
        with trio.CancelScope() as scope:
            nursery.start_soon(cancel_when_blocked, scope)
            await processor.execute(lambda: ran.append(1))
        assert scope.cancelled_caught
        assert processor.statistics().withdrawn == 1
        gate.open()
    assert ran == []


async def cancel_when_blocked(scope):
    await wait_all_tasks_blocked()
    scope.cancel()


async def test_cancelled_caller_waits_for_what_runs(single, make, gate):
    async with make(single) as processor, trio.open_nursery() as nursery:
        with trio.CancelScope() as scope:
            nursery.start_soon(cancel_when_entered, gate, scope)
            await processor.execute(lambda: gate.hold_while(runtime.check_cancelled))
        assert scope.cancelled_caught
        assert processor.statistics().in_flight == 0


async def cancel_when_entered(gate, scope):
    await gate.wait_entered()
    scope.cancel()


async def test_value_that_arrives_after_a_cancellation_is_not_lost(single, make, gate):
    def late():
        with pytest.raises(runtime.JobCancelled):
            gate.hold_while(runtime.check_cancelled)
        return "late"

    async with make(single) as processor, trio.open_nursery() as nursery:
        with trio.CancelScope() as scope:
            nursery.start_soon(cancel_when_entered, gate, scope)
            value = await processor.execute(late)
        assert value == "late"


async def test_call_in_a_cancelled_scope_brings_nothing(pool, make):
    async with make(pool) as processor:
        with trio.CancelScope() as scope:
            scope.cancel()
            await processor.execute(1)
        assert processor.statistics().accepted == 0


async def test_leak_cancelled_requests_behind_a_stuck_worker(single, make, gate):
    async with make(single, batch_size=1) as processor, trio.open_nursery() as nursery:
        nursery.start_soon(processor.execute, gate.hold)
        await gate.wait_entered()
        nursery.start_soon(processor.execute, 1)
        await wait_all_tasks_blocked()
        for _ in range(2000):
            with trio.move_on_after(0):
                await processor.execute(1, timeout=100, deadline=1e9)
            with trio.CancelScope() as scope:
                nursery.start_soon(cancel_soon, scope)
                await processor.execute(2, timeout=100, deadline=1e9)
        assert processor.statistics().queued == 0
        assert len(processor._engine._timers) <= 64
        gate.open()
    await wait_until(lambda: processor.statistics().in_flight == 0)


async def cancel_soon(scope):
    scope.cancel()
