"""Interpreters that are made, filled and ended in a loop, all at once.

In a process of its own: what this looks for ends the process by a signal.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
ROUNDS = int(os.environ.get("RUNTIME_STORM_ROUNDS", "3"))
SEED = int(os.environ.get("RUNTIME_STORM_SEED", "1"))

STORM = """
import random, sys, trio, runtime, jobs

async def main(rounds, seed):
    order = random.Random(seed)
    for _ in range(rounds):
        async with runtime.open_worker_pool(8, backend="interpreters") as pool:
            async with trio.open_nursery() as nursery:
                for _ in range(24):
                    names = jobs.COMMON.copy()
                    order.shuffle(names)
                    nursery.start_soon(pool.spawn_cpu_work, jobs.import_all, names)
    print("end")

trio.run(main, int(sys.argv[1]), int(sys.argv[2]))
"""


@pytest.mark.slow
@pytest.mark.stress
def test_imports_in_many_interpreters_crash_nothing(interpreters):
    done = subprocess.run(
        [
            sys.executable,
            "-P",
            "-X",
            "faulthandler",
            "-c",
            STORM,
            str(ROUNDS),
            str(SEED),
        ],
        capture_output=True,
        text=True,
        timeout=110,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path, str(TESTS)])},
    )
    assert (done.returncode, done.stdout) == (0, "end\n"), f"seed {SEED}: {done.stderr}"
