"""The end of the workers' threads, and Trio beside it."""

import logging
import threading

import jobs
import pytest
import trio
from helpers import cancelled_after, wait_until

import runtime
from runtime._frontend import intake


@pytest.fixture
def hold_the_end(backend, gate):
    """Return a call after which its worker ends only when the gate opens."""
    if backend == "interpreters":
        return jobs.leave_thread, gate
    here = threading.local()

    class Last:
        def __del__(self):
            gate.hold()

    def leave_value():
        here.value = Last()  # dropped by the end of the thread

    return (leave_value,)


async def test_trio_goes_on_while_workers_end(open_pool, hold_the_end, gate):
    async def open_gate():
        await wait_until(lambda: pool._intake.backend.is_stopping)
        await gate.wait_entered()
        gate.open()

    async with trio.open_nursery() as nursery:
        async with open_pool(1) as pool:
            nursery.start_soon(open_gate)
            await pool.spawn_cpu_work(*hold_the_end)
        assert gate.is_open


async def test_cancelled_block_waits_for_its_workers(open_pool, hold_the_end, gate):
    async with cancelled_after(gate.wait_entered, opens=gate), open_pool(1) as pool:
        await pool.spawn_cpu_work(*hold_the_end)
    assert pool._intake.backend.is_stopping


async def test_the_log_says_what_a_pool_waits_for(
    open_pool, hold_the_end, gate, monkeypatch
):
    said = []

    class OpensGate(logging.Handler):
        def emit(self, record):
            said.append(record.getMessage())
            gate.open()

    monkeypatch.setattr(intake, "LOG_AFTER", 0.0)
    logger, handler = logging.getLogger("runtime"), OpensGate()
    logger.addHandler(handler)
    try:
        async with open_pool(1, name="mine") as pool:
            await pool.spawn_cpu_work(*hold_the_end)
    finally:
        logger.removeHandler(handler)
    assert said == ["pool 'mine' waits for " + said[0].partition(" waits for ")[2]]
    assert "thread" in said[0]


async def test_shutdown_ends_the_workers_before_the_block(open_pool):
    async with open_pool(2) as pool:
        await pool.spawn_cpu_work(jobs.add, 1, 2)
        await pool.shutdown()
        assert pool._intake.backend.is_stopping
        await wait_until(lambda: pool._intake.ending._round.ended.is_set())


async def test_shutdown_does_not_wait_for_long(open_pool, hold_the_end, gate):
    async with open_pool(1) as pool:
        await pool.spawn_cpu_work(*hold_the_end)
        report = await pool.shutdown(0)
        assert len(report.threads_left) <= 1
    assert not gate.is_open
    gate.open()


async def test_pool_of_a_job_that_asks_for_its_shutdown_stays_until_it_ends(
    open_pool, backend
):
    async def shut_down():
        report = await pool.shutdown(1)
        assert not pool._intake.backend.is_stopping
        return report.still_running

    def ask():
        return runtime.from_worker.run(shut_down)

    if backend == "interpreters":
        pytest.skip("what asks is a function of this test")
    async with open_pool(1) as pool:
        assert await pool.spawn_cpu_work(ask) == ()
