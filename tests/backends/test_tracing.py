"""`tracemalloc` beside interpreters, which kills CPython with a GIL.

In processes of their own, for what fails here ends the process by a signal.
"""

import os
import subprocess
import sys

import pytest

from runtime._util import is_gil_enabled

PROGRAM = """
import sys, trio, tracemalloc
import runtime

async def use(backend):
    async with runtime.open_worker_pool(2, backend=backend) as pool:
        await pool.spawn_cpu_work(abs, -1)
        if sys.argv[1] == "inside" and not tracemalloc.is_tracing():
            try:
                tracemalloc.start()
            except RuntimeError as error:
                print("refused:", error)
        return pool.statistics().backend

def use_and_say(backend):
    try:
        print(trio.run(use, backend))
    except runtime.BackendUnavailableError as error:
        print("refused:", error)

if sys.argv[1] == "first":
    tracemalloc.start(5)
use_and_say("interpreters")
if sys.argv[1] == "later":
    tracemalloc.start(5)
use_and_say("auto")
use_and_say("auto")
tracemalloc.stop()
use_and_say("interpreters")
print("alive")
"""


def run(order, *options):
    return subprocess.run(
        [sys.executable, "-P", *options, "-c", PROGRAM, order],
        capture_output=True,
        text=True,
        timeout=60,
        env={k: v for k, v in os.environ.items() if k != "RUNTIME_BACKEND"},
    )


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not is_gil_enabled(), reason="it works without a GIL"),
    pytest.mark.usefixtures("interpreters"),
]


@pytest.mark.parametrize("options", [(), ("-X", "tracemalloc")])
def test_a_pool_of_interpreters_is_refused_while_memory_is_traced(options):
    done = run("first", *options)
    first, *others = done.stdout.splitlines()
    assert first.startswith("refused: backend 'interpreters' is not available: tracem")
    assert "backend='threads'" in first
    assert others == ["threads", "threads", "interpreters", "alive"]
    assert done.stderr.count("pools use threads") == 1
    assert done.returncode == 0


def test_tracing_is_refused_beside_an_open_pool():
    done = run("inside")
    first, *others = done.stdout.splitlines()
    assert first.startswith("refused: tracemalloc.start() beside a pool")
    assert others == ["interpreters", *[first, "interpreters"] * 3, "alive"]
    assert (done.returncode, done.stderr) == (0, "")


def test_tracing_may_start_when_the_pool_is_closed():
    """What the pool has left for the next one ends before."""
    done = run("later")
    assert done.stdout.split() == [
        *("interpreters", "threads", "threads", "interpreters", "alive")
    ]
    assert done.returncode == 0
