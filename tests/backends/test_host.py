"""The life of a worker's interpreters, beside threads that its jobs leave there."""

import threading
from functools import partial

import jobs
import pytest
import trio
from gates import TIMEOUT
from helpers import wait_until

import runtime
from runtime._backends import crossinterp
from runtime._frontend import intake

pytestmark = pytest.mark.usefixtures("interpreters", "fresh_interpreters")

open_pool = partial(runtime.open_worker_pool, backend="interpreters")


async def test_creation_stops_when_the_pool_closes(monkeypatch):
    """Of 8 workers one has done all the work; one is being created."""
    create, created, goes_on = crossinterp.create, [], threading.Event()

    def create_slowly():
        created.append(None)
        if len(created) == 2:
            assert goes_on.wait(TIMEOUT)
        return create()

    monkeypatch.setattr(crossinterp, "create", create_slowly)

    async def go_on():
        await wait_until(lambda: len(created) == 2 and pool._intake.backend.is_stopping)
        goes_on.set()

    async with trio.open_nursery() as nursery, open_pool(8) as pool:
        nursery.start_soon(go_on)
        assert await pool.spawn_cpu_work(jobs.add, 1, 2) == 3
    assert len(created) == 2


@pytest.mark.parametrize("leave", [jobs.leave_thread, jobs.leave_bare_thread])
async def test_trio_goes_on_while_a_thread_in_an_interpreter_does(leave, gate):
    async def open_gate():
        await wait_until(lambda: pool._intake.backend.leftovers())
        gate.open()

    async with trio.open_nursery() as nursery:
        async with open_pool(1) as pool:
            nursery.start_soon(open_gate)
            await pool.spawn_cpu_work(leave, gate)
        assert gate.is_open
    assert crossinterp.count() == 0


async def test_other_pools_open_and_close_while_a_thread_goes_on(gate):
    async def close_beside_thread():
        async with open_pool(1) as pool:
            await pool.spawn_cpu_work(jobs.leave_thread, gate)
            registries.append(pool._intake.backend)

    registries = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(close_beside_thread)
        await wait_until(lambda: registries and registries[0].leftovers())
        async with open_pool(1, max_jobs_per_worker=1) as pool:
            for i in range(3):
                assert await pool.spawn_cpu_work(jobs.add, i) == i
        gate.open()


async def test_a_worker_goes_on_beside_a_thread_in_its_last_interpreter(gate):
    async with open_pool(1, max_jobs_per_worker=1) as pool:
        await pool.spawn_cpu_work(jobs.leave_thread, gate)
        assert await pool.spawn_cpu_work(jobs.add, 1, 2) == 3
        gate.open()


async def test_idle_threads_of_an_executor_end_with_the_interpreter():
    async with open_pool(1) as pool:
        assert await pool.spawn_cpu_work(jobs.leave_executor) == 3
    assert crossinterp.count() == 0


async def test_a_shutdown_names_the_threads_it_leaves_behind(gate, caplog):
    async with open_pool(1, name="mine") as pool:
        await pool.spawn_cpu_work(jobs.leave_thread, gate)
        await gate.wait_entered()
        report = await pool.shutdown(0)
        assert report.threads_left == ("thread 'left'",)
        assert report.still_running == ()
    assert "pool 'mine' leaves behind thread 'left'" in caplog.text
    gate.open()


async def test_a_shutdown_has_nothing_to_name(gate):
    gate.open()
    async with open_pool(2) as pool:
        await pool.spawn_cpu_work(jobs.leave_thread, gate)
        report = await pool.shutdown(TIMEOUT)
    assert report.threads_left == ()


async def test_the_log_names_a_worker_that_is_being_set_up(monkeypatch, caplog, gate):
    monkeypatch.setattr(intake, "LOG_AFTER", 0.0)

    async def open_gate():
        await wait_until(lambda: "waits for worker 0, which" in caplog.text)
        gate.open()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(open_gate)
        async with open_pool(1, initializer=gate.hold):
            await gate.wait_entered()
        assert gate.is_open


async def test_the_pump_may_have_been_woken_when_the_pool_closes(monkeypatch):
    wait_readable = trio.lowlevel.wait_readable

    async def wake_up(descriptor):
        try:
            await wait_readable(descriptor)
        except trio.Cancelled:
            pass  # as if the bell had rung just before

    monkeypatch.setattr(trio.lowlevel, "wait_readable", wake_up)
    async with open_pool(1) as pool:
        assert await pool.spawn_cpu_work(jobs.add, 1, 2) == 3
