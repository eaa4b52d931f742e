"""Who may use a pool, when: the Trio run it was opened in, and nobody else."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import entries
import jobs
import pytest
import trio
from gates import TIMEOUT
from helpers import environ_with_coverage, run_threaded, threads_only

import runtime

EVERYTHING = {**entries.ASYNC, **{f"{k}()": v for k, v in entries.SYNC.items()}}

UNOPENED = "map, made before", "process, made before"


def wrong(raised, kind, words):
    """Return what was not refused as it should be."""
    return {
        name: error
        for name, error in raised.items()
        if type(error) is not kind or words not in str(error)
    }


def check_books(pool, *, completed):
    statistics = pool.statistics()
    assert (statistics.jobs_completed, statistics.jobs_failed) == (completed, 0)


async def test_pool_used_from_another_trio_run_refuses_and_its_owner_notices_nothing(
    open_pool, gate
):
    async with open_pool(2, name="mine") as pool, entries.kept(pool, gate.hold, 7) as k:
        await gate.wait_entered()
        raised = await trio.to_thread.run_sync(
            entries.outcomes, EVERYTHING, entries.call_in_trio(k)
        )
        words = "write instead: async with runtime.open_worker_pool() as pool"
        assert not wrong(raised, runtime.WrongThreadError, words)
        assert {error.pool_name for error in raised.values()} == {"mine"}
        assert k.limiter.borrowed_tokens == 0
        gate.open()
        assert await k.job.wait() == 7
        assert [result async for result in k.results] == [1, 2]
        assert len([response async for response in k.responses]) == 2
        assert await pool.spawn_cpu_work(abs, -1) == 1
    assert pool.statistics().in_flight == pool.statistics().jobs_failed == 0


async def test_pool_used_from_a_thread_without_trio_refuses_in_every_method(
    open_pool, gate
):
    async with open_pool(2) as pool, entries.kept(pool, gate.hold, 7) as k:
        call = entries.call_without_trio(k)
        started_by_trio = await trio.to_thread.run_sync(
            entries.outcomes, EVERYTHING, call
        )
        (plain,) = run_threaded(lambda: entries.outcomes(EVERYTHING, call))
        for raised in started_by_trio, plain:
            # Where there is no Trio at all, that is said first.
            for name in UNOPENED:
                assert "a pool needs Trio" in str(raised.pop(name))
            assert not wrong(raised, runtime.WrongThreadError, "trio.from_thread.run")
        assert "run(pool.broadcast, fn, *args, trio_token=token)" in str(
            plain["broadcast"]
        )
        assert "run_sync(job.cancel, trio_token=token)" in str(plain["Job.cancel()"])
        gate.open()
        assert await k.job.wait() == 7


async def test_foreign_thread_may_do_what_its_error_says(pool):
    token = trio.lowlevel.current_trio_token()

    def foreign():
        first = trio.from_thread.run(pool.spawn_cpu_work, abs, -1, trio_token=token)
        job = trio.from_thread.run_sync(pool.submit_nowait, abs, -2, trio_token=token)
        return first, trio.from_thread.run(job.wait, trio_token=token)

    assert await trio.to_thread.run_sync(foreign) == (1, 2)


@threads_only
async def test_job_may_submit_to_its_own_pool_and_asks_for_all_else(pool, gate):
    gate.open()
    async with entries.kept(pool, gate.hold, 7) as k:
        call = entries.call_without_trio(k)
        raised = await pool.spawn_cpu_work(entries.outcomes, EVERYTHING, call)
        for name in UNOPENED:
            del raised[name]  # says that it needs Trio
        submitted = raised.pop("submit_nowait()")
        assert "returned <runtime.Job" in submitted
        words = "write instead: runtime.from_worker.run"
        assert not wrong(raised, runtime.WrongThreadError, words)


@threads_only
async def test_job_of_another_pool_asks_for_everything(pool, single, gate):
    gate.open()
    async with entries.kept(pool, gate.hold, 7) as k:
        call = entries.call_without_trio(k)
        raised = await single.spawn_cpu_work(entries.outcomes, EVERYTHING, call)
        for name in UNOPENED:
            del raised[name]  # says that it needs Trio
        words = "write instead: runtime.from_worker.run"
        assert not wrong(raised, runtime.WrongThreadError, words)
        ask = runtime.from_worker.run
        assert await single.spawn_cpu_work(ask, pool.spawn_cpu_work, abs, -1) == 1


@threads_only
async def test_job_of_a_sync_pool_has_no_trio_to_ask(pool, gate):
    gate.open()

    def foreign():
        with runtime.open_sync_pool(1) as sync_pool:
            return sync_pool.run(entries.outcomes, EVERYTHING, call)

    async with entries.kept(pool, gate.hold, 7) as k:
        call = entries.call_without_trio(k)
        raised = await trio.to_thread.run_sync(foreign)
        for name in UNOPENED:
            del raised[name]  # says that it needs Trio
        assert not wrong(raised, runtime.WrongThreadError, "trio.from_thread.run")


async def test_statistics_and_names_may_be_read_in_any_thread(pool, gate):
    job = pool.submit_nowait(gate.hold)
    await gate.wait_entered()

    def foreign():
        return pool.statistics().in_flight, pool.name, pool.worker_count, repr(pool)

    assert run_threaded(foreign)[0][:3] == (1, "test", 2)
    assert run_threaded(lambda: job.state) == [runtime.JobState.RUNNING]
    gate.open()


def test_statistics_may_be_read_while_work_comes_and_goes(backend):
    read, is_over = [], threading.Event()

    def foreign(pool):
        while not is_over.is_set():
            read.append(pool.statistics().in_flight)

    async def main():
        async with (
            runtime.open_worker_pool(2, backend=backend) as pool,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(trio.to_thread.run_sync, foreign, pool)
            try:
                with trio.fail_after(TIMEOUT):
                    while len(read) < 50:
                        pool.submit_nowait(abs, -1)
                        await pool.spawn_cpu_work(abs, -1)
            finally:
                is_over.set()

    trio.run(main)
    assert max(read) > 0


def test_pool_that_was_left_is_closed_in_a_later_run(open_pool):
    async def main():
        async with open_pool(2) as pool, entries.kept(pool, abs, -7) as k:
            pass
        return k

    k = trio.run(main)
    in_trio = entries.call_in_trio(k)
    raised = entries.outcomes(EVERYTHING, in_trio)
    # What was done is not lost: a job's result may be had in any later run.
    assert raised.pop("Job.wait") == "returned 7"
    assert raised.pop("Job.cancel()") == "returned None"
    assert not wrong(raised, runtime.PoolClosedError, "its Trio run has ended")
    (raised,) = run_threaded(lambda: entries.outcomes(EVERYTHING, in_trio))
    for name in UNOPENED:
        del raised[name]  # entered above
    assert raised.pop("Job.wait") == "returned 7"
    assert raised.pop("Job.cancel()") == "returned None"
    assert not wrong(raised, runtime.PoolClosedError, "its Trio run has ended")
    assert k.pool.statistics().in_flight == 0


PROGRAM = """
import logging, sys, threading
import trio
import entries, jobs, runtime
from gates import Gate, Record

logging.disable()  # Trio tells of generators that nobody closed
kept = []

async def first_cell(backend, is_closed_by_trio):
    if not is_closed_by_trio:  # as where an internal error ends the run
        sys.set_asyncgen_hooks(None, None)
    opening = runtime.open_worker_pool(2, backend=backend)
    pool = await opening.__aenter__()
    # A job that ends when it is told to stop, and one that waits for its turn for ever.
    gate, calls = Gate(), Record()
    manager = entries.kept(pool, jobs.ask_for_ever, gate, calls)
    kept.extend([opening, manager, gate, calls, await manager.__aenter__()])
    await gate.wait_entered()
    await kept[-1].results.wait_returned()

if __name__ == "__main__":
    try:
        trio.run(first_cell, sys.argv[1], sys.argv[2] == "closed")
    except (RuntimeError, trio.TrioInternalError):
        pass  # a block was not left
    everything = {**entries.ASYNC, **{f"{k}()": v for k, v in entries.SYNC.items()}}
    raised = entries.outcomes(everything, entries.call_in_trio(kept[-1]))
    if sys.argv[2] == "closed" and kept[-1].job.state.name == "DONE":
        del raised["Job.wait"], raised["Job.cancel()"]  # the block's end has told it
    for name, said in raised.items():
        if type(said) is not runtime.PoolClosedError:
            print(name, repr(said))
    print(kept[-1].pool.statistics().worker_count, "workers")
    workers = [t for t in threading.enumerate() if t.name.startswith("runtime-")]
    for thread in workers:  # the job's ends a little later, and nobody waits for it
        thread.join(30)
    print([thread.name for thread in workers if thread.is_alive()])
    sys.stdout.flush()
"""


@pytest.mark.slow
@pytest.mark.parametrize("generators", ["closed", "left"])
def test_pool_whose_run_ended_inside_its_block_is_closed(backend, generators, tmp_path):
    """What a notebook leads to, with one run for each cell."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    path = [str(Path(entries.__file__).parent), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", program, backend, generators],
        capture_output=True,
        text=True,
        timeout=120,
        env={
            **(environ_with_coverage() if backend == "threads" else os.environ),
            "PYTHONPATH": os.pathsep.join(filter(None, path)),
        },
    )
    assert done.stdout == "2 workers\n[]\n", done.stderr


async def test_job_of_a_pool_that_goes_on_is_cancelled_in_its_own_run_only(pool, gate):
    job = pool.submit_nowait(gate.hold)
    await gate.wait_entered()
    with pytest.raises(runtime.WrongThreadError, match=r"run_sync\(job\.cancel"):
        await trio.to_thread.run_sync(job.cancel)
    job.cancel()
    gate.open()
    await job.wait()


async def test_processor_over_a_pool_of_another_run_does_not_open(pool):
    async def main():
        async with runtime.ParallelProcessor(jobs.double, pool=pool):
            pass

    with pytest.raises(runtime.WrongThreadError, match="open_worker_pool"):
        await trio.to_thread.run_sync(trio.run, main)
    async with runtime.ParallelProcessor(jobs.double, pool=pool) as processor:
        assert await processor.execute(2) == 4
