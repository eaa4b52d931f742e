"""Each allocation of what the native core does fails once, in a process of its own."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

HERE = Path(__file__).parent
COMPILER = shutil.which("cc")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(COMPILER is None, reason="there is no C compiler"),
    pytest.mark.skipif(sys.platform != "linux", reason="preloads a shared object"),
]


@pytest.fixture(scope="module")
def shim(tmp_path_factory, native):
    """The shared object that lets allocations fail."""
    target = tmp_path_factory.mktemp("shim") / "no_memory.so"
    include = f"-I{sysconfig.get_path('include')}"
    command = [COMPILER, "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", include]
    subprocess.run([*command, HERE / "c/no_memory.c", "-o", target, "-ldl"], check=True)
    return target


# Plain `[None] * 8` crashes there when its memory is not to be had: always in 3.13, and
# in 3.14 where the list is there but not its items (`PyList_New`).
cpython_list = pytest.mark.skipif(
    not sys._is_gil_enabled(),
    reason="free-threaded Python does not survive it where a list is made",
)


@pytest.mark.parametrize(
    ("case", "fewest"),
    [
        ("new_registry", 3),
        ("new_job", 1),
        ("submit_first", 1),
        ("submit_growing", 1),
        ("submit_many", 1),
        ("push_growing", 1),
        ("run", 1),
        ("join", 1),
        ("join_growing", 10),
        ("withdraw", 1),
        ("look", 10),
        pytest.param("batch", 20, marks=cpython_list),
        pytest.param("batch_decimal", 40, marks=cpython_list),
    ],
)
def test_no_memory_loses_no_job_and_runs_none_twice(shim, case, fewest):
    """`no_memory.py` says what each case checks."""
    result = subprocess.run(
        [sys.executable, "-X", "faulthandler", HERE / "no_memory.py", shim, case],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "RUNTIME_CORE": "native", "LD_PRELOAD": str(shim)},
    )
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) >= fewest, "fewer allocations than there must be"
