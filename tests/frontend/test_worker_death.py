"""Workers that die or cannot start: nobody hangs."""

import threading

import jobs
import pytest
import trio
import trio.testing
from helpers import threads_only, wait_until

import runtime
from runtime._frontend.call import Call


def refuse_threads(monkeypatch, after):
    """Let only ``after`` more threads of pools start."""
    real, started = threading.Thread.start, []

    def start(thread):
        if thread.name.startswith("runtime-"):
            if len(started) == after:
                raise RuntimeError("can't start new thread")
            started.append(thread.name)
        real(thread)

    monkeypatch.setattr(threading.Thread, "start", start)


@pytest.mark.usefixtures("fresh_interpreters")
@pytest.mark.parametrize("after", [0, 1])
async def test_worker_that_cannot_start_is_a_broken_worker_error(
    monkeypatch, after, open_pool
):
    refuse_threads(monkeypatch, after)
    with pytest.raises(
        runtime.BrokenWorkerError, match="ask for fewer workers"
    ) as info:
        async with open_pool(2):
            pytest.fail("the block was entered")
    assert isinstance(info.value.__cause__, RuntimeError)


@threads_only("an interpreter has no spare")
async def test_spare_that_cannot_start_fails_its_job_and_the_pool_goes_on(
    single, monkeypatch
):
    def work():
        with runtime.blocking():
            pass

    with monkeypatch.context() as patch:
        refuse_threads(patch, 0)
        with pytest.raises(runtime.BrokenWorkerError, match="could not start"):
            await single.spawn_cpu_work(work)
    await single.spawn_cpu_work(work)


def fail(pool, error):
    """Do what a worker does that ends with an error."""
    report = getattr(pool._intake.backend, "fail", pool._intake.reports.failed)
    report(error)


FAILURES = [
    (SystemExit("killed"), runtime.BrokenWorkerError, "was ended by SystemExit"),
    (MemoryError(), runtime.BrokenWorkerError, "was ended by MemoryError"),
    (LookupError("a bug of ours"), runtime.InternalError, "report this as a bug"),
]


@pytest.mark.parametrize(("error", "kind", "message"), FAILURES)
async def test_error_out_of_the_machinery_reaches_all_who_wait(
    error, kind, message, gate, calls, open_pool
):
    caught = []

    async def wait_for_job(job):
        with pytest.raises(kind, match=message) as info:
            await job.wait()
        caught.append(info.value)

    with pytest.raises(kind, match=message) as info:
        async with open_pool(1) as pool:
            running = await pool.submit(gate.hold)
            queued = await pool.submit(calls.append, 1)
            await gate.wait_entered()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(wait_for_job, running)
                nursery.start_soon(wait_for_job, queued)
                with trio.CancelScope(shield=True):  # the pool's block is cancelled
                    await trio.testing.wait_all_tasks_blocked()
                    thread = threading.Thread(target=fail, args=[pool, error])
                    thread.start()
                    thread.join()
                    await wait_until(lambda: len(caught) == 2)
                    gate.open()
    assert info.value.__cause__ is error
    assert caught == [info.value] * 2
    assert list(calls) == []


async def test_error_out_of_the_machinery_is_said_once_with_what_the_body_raised(
    open_pool,
):
    with pytest.raises(BaseExceptionGroup) as info:
        async with open_pool(1) as pool:
            fail(pool, SystemExit())
            with trio.CancelScope(shield=True):
                await trio.testing.wait_all_tasks_blocked()
            raise ValueError("the body's own")
    kinds = [type(error) for error in info.value.exceptions]
    assert kinds == [ValueError, runtime.BrokenWorkerError]


async def test_error_out_of_the_machinery_that_the_body_lets_pass_is_not_doubled(
    gate, open_pool
):
    with pytest.raises(runtime.BrokenWorkerError, match="was ended by SystemExit"):
        async with open_pool(1) as pool:
            job = await pool.submit(gate.hold)
            await gate.wait_entered()
            fail(pool, SystemExit())
            with trio.CancelScope(shield=True):
                try:
                    await job.wait()
                finally:
                    gate.open()


async def test_delivery_that_fails_reaches_all_who_wait(
    monkeypatch, make_gate, open_pool
):
    """A bug of ours in the Trio thread: also who was to get the delivery goes on."""
    gate, caught = make_gate(), []
    bug = LookupError("a bug of ours")

    def take_answer(_call):
        raise bug

    async def wait_for(wait, *args):
        with pytest.raises(runtime.InternalError, match="report this") as info:
            await wait(*args)
        caught.append(info.value)

    with pytest.raises(runtime.InternalError) as info:
        async with open_pool(2) as pool:
            running = await pool.submit(gate.hold)
            await gate.wait_entered()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(wait_for, running.wait)
                await trio.testing.wait_all_tasks_blocked()
                other = make_gate()
                nursery.start_soon(wait_for, pool.spawn_cpu_work, other.hold)
                await other.wait_entered()
                with trio.CancelScope(shield=True):  # the pool's block is cancelled
                    await trio.testing.wait_all_tasks_blocked()
                    monkeypatch.setattr(Call, "_take_answer", take_answer)
                    other.open()
                    await wait_until(lambda: len(caught) == 2)
                    gate.open()
    assert info.value.__cause__ is bug
    assert caught == [info.value] * 2


async def test_errors_of_the_limiter_are_the_answer(single):
    class Limiter:
        async def acquire_on_behalf_of(self, borrower):
            await trio.lowlevel.checkpoint()

        def release_on_behalf_of(self, borrower):
            raise SystemExit("from the limiter")

    with pytest.raises(SystemExit, match="from the limiter"):
        await single.spawn_cpu_work(int, limiter=Limiter())
    assert await single.spawn_cpu_work(int) == 0


async def test_error_that_lies_about_its_class_reaches_who_waits(single):
    with pytest.raises(jobs.LiarError):
        await single.spawn_cpu_work(jobs.lie)
    job = await single.submit(jobs.lie)
    with pytest.raises(jobs.LiarError):
        await job.wait()
    assert await single.spawn_cpu_work(int) == 0
