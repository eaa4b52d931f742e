"""A fork beside interpreters, which no child survives."""

import subprocess
import sys

import pytest

PROGRAM = """
import os, signal, trio, runtime

async def main():
    async with runtime.open_worker_pool(1, backend="interpreters") as pool:
        await pool.spawn_cpu_work(pow, 2, 3)
        print("beside", flush=True)
        child = os.fork()
        if not child:
            os._exit(0)
        os.kill(child, signal.SIGKILL)  # it may hang
        os.waitpid(child, 0)
        assert await pool.spawn_cpu_work(pow, 2, 3) == 8

trio.run(main)
if not os.fork():
    os._exit(0)
print(os.wait()[1])
"""


@pytest.mark.slow
def test_fork_beside_interpreters_is_warned_of(interpreters):
    done = subprocess.run(
        [sys.executable, "-P", "-W", "ignore", "-c", PROGRAM],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == "beside\n0\n", done.stderr
    assert done.stderr.count("fork() beside 1 interpreter(s) of a pool") == 1
