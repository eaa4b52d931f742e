"""The end of a pool, on every backend; and of the process beside it."""

import subprocess
import sys
import threading

import jobs
import pytest
import trio

import runtime


async def test_leaving_the_block_finishes_what_was_accepted(backend):
    async with runtime.open_worker_pool(2, backend=backend) as pool:
        accepted = [await pool.submit(jobs.square, i) for i in range(50)]
    assert [await job.wait() for job in accepted] == [i * i for i in range(50)]


async def test_leaving_by_an_error_cancels(backend, signals):
    with pytest.raises(KeyError):
        async with runtime.open_worker_pool(1, backend=backend) as pool:
            await pool.submit(jobs.spin, signals.entered)
            queued = await pool.submit(jobs.add, 1, 1)
            await signals.wait_entered()
            raise KeyError
    assert queued.state is runtime.JobState.WITHDRAWN


async def test_shutdown_reports(backend, signals):
    async with runtime.open_worker_pool(1, backend=backend) as pool:
        await pool.submit(jobs.spin, signals.entered)
        await pool.submit(jobs.add, 1, 1)
        await signals.wait_entered()
        report = await pool.shutdown(0)
    assert (report.withdrawn, report.cancelled, report.still_running) == (1, 1, ())


async def test_a_straggler_is_left_behind_and_named(backend, signals):
    async with runtime.open_worker_pool(1, backend=backend) as pool:
        await pool.submit(jobs.hold, signals.entered, signals.opened)
        await signals.wait_entered()
        with trio.fail_after(5):
            report = await pool.shutdown(0)
    assert [straggler.name for straggler in report.still_running] == ["hold"]
    signals.open()
    for thread in threading.enumerate():
        if thread.name.startswith("runtime-"):
            thread.join(10)
            assert not thread.is_alive()


STUCK = """
import sys, trio, runtime, stuck

async def main():
    async with runtime.open_worker_pool(1, backend="interpreters") as pool:
        job = await pool.submit(getattr(stuck, sys.argv[1]))
        while job.state is not runtime.JobState.RUNNING:
            await trio.sleep(0.01)
        report = await pool.shutdown(0)
        assert len(report.still_running) == 1

trio.run(main)
print("end")
"""
JOBS = """
import time

def sleep():
    time.sleep(3600)

def loop():
    while True:
        pass

def call():
    sum(range(10**15))
"""


@pytest.mark.slow
@pytest.mark.parametrize("job", ["sleep", "loop", "call"])
def test_the_process_ends_beside_a_straggler(interpreters, job, tmp_path):
    """It neither hangs nor crashes."""
    (tmp_path / "stuck.py").write_text(JOBS)
    script = tmp_path / "script.py"
    script.write_text(STUCK)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(script), job],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == "end\n"
    assert done.returncode == 1, done.stderr
    assert "still run in interpreters" in done.stderr
