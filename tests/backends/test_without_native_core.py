"""Without the native core there are no pools of interpreters, and that is said.

In processes of their own: which core there is, is decided once.
"""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

NOT_BUILT = "import sys; sys.modules['runtime._native.scheduler'] = None"
TURNED_OFF = (
    "interpreters need the native core, which is turned off by RUNTIME_CORE=python: "
    "unset it, or use backend='threads'"
)
ABSENT = (
    "interpreters need the native core, which was not built: reinstall trio-runtime "
    "from a wheel, or where there is a C compiler, or use backend='threads'"
)
WITHOUT = pytest.mark.parametrize(
    ("core", "before", "reason"),
    [("python", "pass", TURNED_OFF), ("", NOT_BUILT, ABSENT)],
    ids=["turned_off", "not_built"],
)


def run(code, *arguments, core, **environment):
    """Run code as a program; ``auto`` is not what the tests' own is."""
    inherited = {k: v for k, v in os.environ.items() if k != "RUNTIME_BACKEND"}
    return subprocess.run(
        [sys.executable, "-P", "-c", code, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env={**inherited, "RUNTIME_CORE": core, **environment},
    )


REFUSED = """
import trio, runtime

async def main():
    try:
        {entry}
    except runtime.BackendUnavailableError as error:
        print(error.reason)
        print(error)

trio.run(main)
"""
ENTRIES = {
    "pool": "async with runtime.open_worker_pool(backend='interpreters'): pass",
    "processor": (
        "async with runtime.ParallelProcessor("
        "abs, runtime.ParallelConfig(backend='interpreters')): pass"
    ),
}
# What RUNTIME_BACKEND chooses.
AUTO_ENTRIES = {
    "auto_pool": "async with runtime.open_worker_pool(): pass",
    "auto_processor": "async with runtime.ParallelProcessor(abs): pass",
    "default_pool": "await runtime.spawn_cpu_work(abs, -1)",
}


@WITHOUT
@pytest.mark.parametrize("entry", [*ENTRIES, *AUTO_ENTRIES])
def test_interpreters_are_refused_in_one_line(core, before, reason, entry):
    environment = {"RUNTIME_BACKEND": "interpreters"} if entry in AUTO_ENTRIES else {}
    code = REFUSED.format(entry=(ENTRIES | AUTO_ENTRIES)[entry])
    done = run(f"{before}\n{code}", core=core, **environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        reason,
        f"backend 'interpreters' is not available: {reason}",
    ]


CLI = "import runpy; runpy.run_module('runtime', run_name='__main__')"


@WITHOUT
@pytest.mark.parametrize("command", [["map", "math:sqrt"], ["demo", "--limit", "1"]])
@pytest.mark.parametrize("is_named", [True, False], ids=["option", "variable"])
def test_command_line_says_so_and_exits_with_2(core, before, reason, command, is_named):
    options = ["--backend", "interpreters"] if is_named else []
    environment = {} if is_named else {"RUNTIME_BACKEND": "interpreters"}
    done = run(f"{before}\n{CLI}", *command, *options, core=core, **environment)
    assert done.returncode == 2
    assert done.stderr == (
        f"runtime {command[0]}: backend 'interpreters' is not available: {reason}\n"
    )


AUTO = """
import trio, runtime

async def main():
    for _ in range(2):
        async with runtime.open_worker_pool(1) as pool:
            print(pool.statistics().backend, await pool.spawn_cpu_work(abs, -1))
    print(await runtime.spawn_cpu_work(abs, -2))

trio.run(main)
"""


@WITHOUT
def test_auto_is_threads_and_with_a_gil_the_log_says_so_once(core, before, reason):
    done = run(f"{before}\n{AUTO}", core=core, PYTHON_GIL="1")
    assert done.stdout.splitlines() == ["threads 1", "threads 1", "2"]
    assert done.stderr.splitlines() == [
        f"pools use threads, which take turns in Python code: {reason}"
    ]


@pytest.mark.skipif(sys._is_gil_enabled(), reason="needs a build without the GIL")
def test_auto_without_a_gil_has_nothing_to_say():
    done = run(AUTO, core="python")
    assert done.stdout.splitlines() == ["threads 1", "threads 1", "2"]
    assert done.stderr == ""


SYNC = "import runtime\nwith runtime.open_sync_pool(1): pass"


WAY_OUT = "open_worker_pool() runs interpreters here"


@WITHOUT
def test_sync_pool_does_not_point_to_interpreters(core, before, reason):
    done = run(f"{before}\n{SYNC}", core=core, PYTHON_GIL="1")
    assert done.stderr.startswith("open_sync_pool() runs threads, and this Python has")
    assert done.stderr.count("\n") == 1
    assert WAY_OUT not in done.stderr


def test_sync_pool_points_to_interpreters_where_there_are_some(interpreters):
    assert WAY_OUT in run(SYNC, core="", PYTHON_GIL="1").stderr
