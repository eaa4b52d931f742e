"""The concept headers, compiled as plain C, under the compiler's sanitizers."""

import shutil
import signal
import subprocess
from pathlib import Path

import pytest

COMPILER = shutil.which("cc")
HERE = Path(__file__).parent / "c"
HEADERS = Path(__file__).parents[2] / "runtime" / "_native"
TIME_LIMIT = 300

pytestmark = pytest.mark.skipif(COMPILER is None, reason="there is no C compiler")


def build(program, target, *flags):
    """Compile one test program; any warning is an error."""
    command = [COMPILER, "-std=c11", "-D_GNU_SOURCE", "-O1", "-g", "-Wall", "-Wextra"]
    command += ["-Werror", *flags, f"-I{HEADERS}", HERE / f"{program}.c"]
    subprocess.run([*command, "-o", target, "-pthread"], check=True)


def run(target, *arguments):
    return subprocess.run(
        [target, *arguments], capture_output=True, text=True, timeout=TIME_LIMIT
    )


SANITIZERS = {
    "threads": ["-fsanitize=thread"],
    "memory": ["-fsanitize=address,undefined", "-fno-sanitize-recover"],
    "portable": ["-fsanitize=thread", "-DRUNTIME_NO_FUTEX", "-DRUNTIME_NO_EVENTFD"],
}


@pytest.mark.slow
@pytest.mark.parametrize("sanitizer", SANITIZERS)
@pytest.mark.parametrize(
    ("program", "threads"),
    [
        ("deque_stress", 2),
        ("deque_stress", 4),
        ("deque_stress", 8),
        ("sleep_stress", 2),
        ("sleep_stress", 4),
        ("sleep_stress", 8),
        ("injector_stress", 4),
        ("parker_stress", 2),
        ("shared_stress", 2),
        ("shared_stress", 4),
        ("shared_stress", 8),
    ],
)
def test_stress_under_a_sanitizer(program, threads, sanitizer, tmp_path):
    build(program, tmp_path / program, *SANITIZERS[sanitizer])
    result = run(tmp_path / program, str(threads))
    assert result.returncode == 0, result.stderr


@pytest.mark.slow
def test_stress_of_sleep_notices_a_missing_last_look(tmp_path):
    """Without SLEEP-4 a wake-up gets lost, and the program ends by its alarm."""
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    build("sleep_stress", whole, "-DWIDE_WINDOW")
    build(
        "sleep_stress",
        broken,
        "-DWIDE_WINDOW",
        "-DWITHOUT_LAST_LOOK",
        "-DHANG_SECONDS=3",
    )
    assert run(whole, "2").returncode == 0
    assert run(broken, "2").returncode == -signal.SIGALRM
