"""The concept headers, compiled as plain C, under the compiler's sanitizers."""

import functools
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest

COMPILER = shutil.which("cc")
HERE = Path(__file__).parent / "c"
HEADERS = Path(__file__).parents[2] / "runtime" / "_native"
TIME_LIMIT = 300

pytestmark = pytest.mark.skipif(COMPILER is None, reason="there is no C compiler")


def build(program, target, *flags, headers=HEADERS):
    """Compile one test program; any warning is an error."""
    command = [COMPILER, "-std=c11", "-D_GNU_SOURCE", "-O1", "-g", "-Wall", "-Wextra"]
    command += ["-Werror", *flags, f"-I{headers}", HERE / f"{program}.c"]
    subprocess.run([*command, "-o", target, "-pthread"], check=True)


def run(target, *arguments):
    return subprocess.run(
        [target, *arguments], capture_output=True, text=True, timeout=TIME_LIMIT
    )


@functools.cache
def has(*flags):
    """Tell whether a program built with these flags starts."""
    with tempfile.TemporaryDirectory() as directory:
        target = Path(directory, "empty")
        command = [COMPILER, *flags, "-x", "c", "-", "-o", target]
        built = subprocess.run(
            command,
            input="int main(void) { return 0; }",
            text=True,
            capture_output=True,
        )
        return built.returncode == 0 and run(target).returncode == 0


def need(flags):
    """Skip the test where the compiler has no such sanitizer."""
    if not has(*flags):
        pytest.skip(f"{COMPILER} has no {' '.join(flags)}")


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
    need(SANITIZERS[sanitizer])
    build(program, tmp_path / program, *SANITIZERS[sanitizer])
    result = run(tmp_path / program, str(threads))
    assert result.returncode == 0, result.stderr


@pytest.mark.slow
@pytest.mark.parametrize("threads", [2, 8])
def test_stress_of_deque_notices_a_push_without_order(threads, tmp_path):
    """Whoever takes an item may read what its owner wrote before the push."""
    need(SANITIZERS["threads"])
    headers = tmp_path / "headers"
    shutil.copytree(HEADERS, headers, ignore=shutil.ignore_patterns("*.so", "*.c"))
    source = (headers / "deque.h").read_text()
    strong = "atomic_store(&deque->bottom, bottom + 1);"
    weak = "atomic_store_explicit(&deque->bottom, bottom + 1, memory_order_relaxed);"
    assert source.count(strong) == 1
    (headers / "deque.h").write_text(source.replace(strong, weak))

    build("deque_stress", tmp_path / "weak", *SANITIZERS["threads"], headers=headers)
    result = run(tmp_path / "weak", str(threads))

    assert result.returncode != 0
    assert "data race" in result.stderr


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
