"""The end of a process beside an interpreter that does not end.

What every backend promises of a shutdown is in tests/frontend/test_shutdown.py.
"""

import os
import subprocess
import sys

import jobs
import pytest

import runtime

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


DAEMON = """
import sys, threading, trio, runtime

ready = threading.Event()

async def main(count, calls):
    async with runtime.open_worker_pool(count, backend="interpreters") as pool:
        for _ in range(calls):
            await pool.spawn_cpu_work(int, "1")
        ready.set()
        await trio.sleep_forever()

if sys.argv[3] == "kept":
    trio.run(runtime.spawn_cpu_work, int, "1")
args = main, *map(int, sys.argv[1:3])
threading.Thread(target=trio.run, args=args, daemon=True).start()
ready.wait()
print("end")
sys.exit(3)
"""


@pytest.mark.slow
@pytest.mark.parametrize("kept", ["kept", "none"])
@pytest.mark.parametrize(
    ("worker_count", "calls"), [(2, 1), (2, 0), (16, 1)], ids=["idle", "new", "many"]
)
def test_the_process_ends_beside_a_pool_in_a_daemon_thread(
    interpreters, worker_count, calls, kept
):
    """Idle or being created, they end, and the status is the program's."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", DAEMON, str(worker_count), str(calls), kept],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "RUNTIME_BACKEND": "interpreters"},
    )
    assert (done.returncode, done.stdout, done.stderr) == (3, "end\n", "")


async def test_no_descriptor_outlives_the_block(interpreters):
    """The pool itself may be kept, for its statistics."""
    before = set(os.listdir("/proc/self/fd"))
    async with runtime.open_worker_pool(2, backend="interpreters") as pool:
        await pool.spawn_cpu_work(jobs.add, 1, 1)
        assert set(os.listdir("/proc/self/fd")) > before
    assert set(os.listdir("/proc/self/fd")) <= before
    assert pool.statistics().jobs_executed == 1
