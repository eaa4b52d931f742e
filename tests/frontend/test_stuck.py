"""Jobs that run longer than ``stuck_after``. The clock is the test's."""

import logging
from functools import partial

import jobs
import pytest
import trio
import trio.testing
from gates import Gate
from helpers import wait_until

import runtime
from runtime._backends.interpreters import InterpreterBackend
from runtime._frontend import stuck

HOUR = 3600.0


@pytest.fixture
def reports(caplog, monkeypatch):
    """Return the texts that were logged so far."""
    caplog.set_level(logging.WARNING, "runtime")
    return lambda: [record.getMessage() for record in caplog.records]


@pytest.fixture
def impatient(monkeypatch):
    """Give up on a stack at once: the job of the test cannot show one."""
    monkeypatch.setattr(stuck, "PATIENCE", 0.0)


async def pass_time(clock, seconds):
    await trio.testing.wait_all_tasks_blocked()
    clock.jump(seconds)


async def wait_stuck(clock, reports, gate):
    """Wait until a job that enters the gate is reported as stuck, and let it go."""
    with gate:
        await gate.wait_entered()
        await pass_time(clock, HOUR / 4)  # it is seen
        await pass_time(clock, HOUR)
        await wait_until(reports)


async def test_stuck_job_is_reported_once(mock_clock, reports, gate, open_pool):
    async with open_pool(1, name="p", stuck_after=HOUR) as pool:
        job = await pool.submit(jobs.loop_until_open, gate, name="spinner")
        with gate:
            await gate.wait_entered()
            await pass_time(mock_clock, HOUR / 4)  # it is seen
            await pass_time(mock_clock, HOUR)
            await wait_until(reports)
            await pass_time(mock_clock, 10 * HOUR)
            await pass_time(mock_clock, 10 * HOUR)
        await job.wait()
    (report,) = reports()
    first, *stack = report.splitlines()
    assert first.startswith(f"job spinner ({jobs.__file__}:")
    assert "of pool 'p' has been running for" in first
    assert "in loop_until_open" in report
    assert "worker.py" not in report
    assert "interrupting.py" not in report
    assert stack


async def test_job_that_waits_is_reported_without_a_stack(
    mock_clock, reports, impatient, gate, open_pool
):
    async with open_pool(1, stuck_after=HOUR) as pool:
        job = await pool.submit(gate.hold_in_c)
        await wait_stuck(mock_clock, reports, gate)
        await job.wait()
    (report,) = reports()
    assert report.endswith("it is inside one call into C, or waits")


async def test_item_of_a_batch_is_reported_with_its_stack(
    mock_clock, reports, gate, open_pool
):
    async with open_pool(1, stuck_after=HOUR) as pool, trio.open_nursery() as nursery:
        nursery.start_soon(pool.spawn_parallel_batch, [gate], jobs.loop_until_open)
        await wait_stuck(mock_clock, reports, gate)
    (report,) = reports()
    assert "in loop_until_open" in report


async def test_job_that_has_waited_is_reported_with_its_stack(
    mock_clock, reports, make_gate, open_pool
):
    waits, loops = make_gate(), make_gate()
    async with open_pool(1, stuck_after=HOUR) as pool:
        steps = partial(jobs.block, waits), partial(jobs.loop_until_open, loops)
        job = await pool.submit(jobs.in_turn, *steps)
        await waits.wait_entered()
        waits.open()
        await wait_stuck(mock_clock, reports, loops)
        await job.wait()
    (report,) = reports()
    assert "in loop_until_open" in report


async def test_job_that_begins_to_wait_keeps_its_clock(
    mock_clock, reports, impatient, make_gate, open_pool
):
    """In an interpreter it changes its place: it runs at the seat, waits beside it."""
    runs, waits = make_gate(), make_gate()
    async with open_pool(1, stuck_after=HOUR) as pool:
        job = await pool.submit(jobs.in_turn, runs.hold, partial(jobs.block, waits))
        for gate in (runs, waits):
            await gate.wait_entered()
            for _ in range(3):
                await pass_time(mock_clock, HOUR / 4)
            gate.open()
        await job.wait()
    assert len(reports()) == 1


async def test_job_that_a_look_misses_keeps_its_clock(
    mock_clock, reports, impatient, gate, open_pool, monkeypatch
):
    """It changes its place in an interpreter while it is looked for."""
    look = InterpreterBackend.running_jobs
    looks = iter(range(100))
    monkeypatch.setattr(
        InterpreterBackend,
        "running_jobs",
        lambda registry: {} if next(looks) % 2 else look(registry),
    )
    async with open_pool(1, stuck_after=HOUR) as pool:
        job = await pool.submit(gate.hold)
        await gate.wait_entered()
        for _ in range(6):
            await pass_time(mock_clock, HOUR / 4)
        await pass_time(mock_clock, HOUR)
        gate.open()
        await job.wait()
    assert len(reports()) == 1


async def test_long_batch_of_quick_items_is_not_reported(
    mock_clock, reports, make_gate, open_pool
):
    gates = [make_gate() for _ in range(6)]
    async with open_pool(1, stuck_after=HOUR) as pool, trio.open_nursery() as nursery:
        nursery.start_soon(pool.spawn_parallel_batch, gates, Gate.hold)
        for gate in gates:
            await gate.wait_entered()
            await pass_time(mock_clock, HOUR / 4)
            gate.open()
    assert reports() == []


async def test_jobs_that_are_quick_are_not_reported(mock_clock, reports, open_pool):
    async with open_pool(1, stuck_after=HOUR) as pool:
        for _ in range(5):
            await pool.spawn_cpu_work(int)
            await pass_time(mock_clock, HOUR)
    assert reports() == []


async def test_pool_that_is_closing_still_reports(
    mock_clock, reports, impatient, gate, open_pool
):
    async with trio.open_nursery() as nursery:

        async def hold_pool():
            async with open_pool(1, stuck_after=HOUR) as pool:
                await pool.submit(gate.hold)
                await gate.wait_entered()
                raise ValueError("leave early")

        async def fail():
            with pytest.raises(ValueError, match="leave early"):
                await hold_pool()

        nursery.start_soon(fail)
        await gate.wait_entered()
        await pass_time(mock_clock, HOUR / 4)
        await pass_time(mock_clock, HOUR)
        await wait_until(reports)
        gate.open()


@pytest.mark.parametrize("limit", [0, -1, float("nan"), "5"])
async def test_misuse_stuck_after(limit):
    with pytest.raises((ValueError, TypeError), match="stuck_after"):
        async with runtime.open_worker_pool(1, stuck_after=limit):
            pass
