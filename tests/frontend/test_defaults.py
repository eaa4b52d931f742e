import logging
import os
import threading

import jobs
import pytest
import trio
import trio.testing

import runtime
from runtime._util import available_cores


@pytest.fixture(autouse=True)
def default_backend(backend, monkeypatch):
    """Run each test with a default pool on each backend."""
    monkeypatch.setenv("RUNTIME_BACKEND", backend)


async def test_default_pool_opens_at_the_first_call_and_stays():
    assert await runtime.spawn_cpu_work(jobs.double, 21) == 42
    threads = {t for t in threading.enumerate() if t.name.startswith("runtime-default")}
    assert len(threads) == available_cores()
    assert await runtime.spawn_cpu_work(jobs.double, 1) == 2
    now = {t for t in threading.enumerate() if t.name.startswith("runtime-default")}
    assert now == threads


async def test_default_pool_first_calls_at_once_share_one_pool():
    async with trio.open_nursery() as nursery:
        for number in range(10):
            nursery.start_soon(runtime.spawn_cpu_work, jobs.double, number)
    names = [t.name for t in threading.enumerate()]
    assert sum(n.startswith("runtime-default") for n in names) == available_cores()


async def test_default_pool_call_is_a_checkpoint_and_cancellable(calls):
    for _ in range(2):
        with trio.testing.assert_checkpoints():
            await runtime.spawn_cpu_work(jobs.double, 1)
    with trio.move_on_after(0) as scope:
        await runtime.spawn_cpu_work(calls.append, 1)
    assert scope.cancelled_caught
    assert list(calls) == []


def test_default_pool_ends_with_its_run_and_the_next_run_gets_another():
    for _ in range(2):
        assert trio.run(runtime.spawn_cpu_work, jobs.double, 4) == 8
        names = [thread.name for thread in threading.enumerate()]
        assert not [name for name in names if name.startswith("runtime-default")]


def test_default_pool_is_closed_while_the_run_ends():
    errors = []

    async def late():
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                # The default pool's task ends in the same moment.
                for _ in range(5):
                    await trio.testing.wait_all_tasks_blocked()
                try:
                    await runtime.spawn_cpu_work(jobs.double, 1)
                except runtime.PoolClosedError as error:
                    errors.append(error)

    async def main():
        await runtime.spawn_cpu_work(jobs.double, 1)
        trio.lowlevel.spawn_system_task(late)
        await trio.testing.wait_all_tasks_blocked()

    trio.run(main)
    assert len(errors) == 1


def test_default_pool_waits_for_an_abandoned_job_when_the_run_ends(gate, calls):
    async def open_at_the_end():
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.testing.wait_all_tasks_blocked()
                assert list(calls) == []
                gate.open()

    async def main():
        async with trio.open_nursery() as nursery:
            with trio.CancelScope() as scope:

                async def cancel():
                    await gate.wait_entered()
                    scope.cancel()

                nursery.start_soon(cancel)
                await runtime.spawn_cpu_work(
                    jobs.hold_and_note, gate, calls, on_cancel="abandon"
                )
        assert list(calls) == []
        trio.lowlevel.spawn_system_task(open_at_the_end)
        await trio.testing.wait_all_tasks_blocked()

    trio.run(main)
    assert list(calls) == [True]


def test_default_pool_says_what_it_waits_for(gate):
    """The run's clock jumps ahead while a job that was abandoned goes on."""
    said = []

    class OpensGate(logging.Handler):
        def emit(self, record):
            said.append(record.getMessage())
            gate.open()

    async def main():
        with trio.CancelScope() as scope:

            async def cancel():
                await gate.wait_entered()
                scope.cancel()

            async with trio.open_nursery() as nursery:
                nursery.start_soon(cancel)
                await runtime.spawn_cpu_work(
                    gate.hold, on_cancel="abandon", name="the job"
                )

    logger, handler = logging.getLogger("runtime"), OpensGate()
    logger.addHandler(handler)
    try:
        trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    finally:
        logger.removeHandler(handler)
    code = gate.hold.__code__
    place = f"{code.co_filename}:{code.co_firstlineno}"
    assert len(said) == 1
    assert said[0].startswith(f"pool 'default' waits for the job ({place});")
    assert said[0].endswith(f"kill -9 {os.getpid()}")


def test_default_pool_that_does_not_open_tells_every_caller(monkeypatch, caplog):
    real_start = threading.Thread.start

    def refuse(thread):
        if thread.name.startswith("runtime-"):
            raise RuntimeError("can't start new thread")
        real_start(thread)

    async def main():
        monkeypatch.setattr(threading.Thread, "start", refuse)
        for _ in range(2):
            with pytest.raises(RuntimeError, match="default pool could not be opened"):
                await runtime.spawn_cpu_work(jobs.double, 1)

    trio.run(main)
    assert "the default pool ended with an error" in caplog.text
    caplog.clear()  # the frames of the error keep the pool
