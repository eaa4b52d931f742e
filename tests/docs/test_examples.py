"""Every program in docs/examples runs, prints what the pages say, and is shown.

An example's expected output stands beside it, in a file that the page includes.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import environ_with_coverage

from runtime._backends import BACKENDS, why_unavailable

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "examples"
PROGRAMS = sorted(path.stem for path in EXAMPLES.glob("*.out"))
# Their numbers differ from run to run.
MEASURING = {"tutorial_statistics", "scaling_experiments"}
# They open a sync pool, which has threads on every build.
THREADS_ONLY = {"scaling_experiments"}
# What a sync pool says on a build with a GIL.
NOTICE = "open_sync_pool() runs threads, and this Python has a GIL"


def run_python(*args: str | Path, backend: str = "threads", traced: bool = True) -> str:
    """Run Python in the folder of the examples; return what it printed."""
    environ = environ_with_coverage() if traced else os.environ
    done = subprocess.run(
        [sys.executable, "-W", "error", *args],
        cwd=EXAMPLES,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        env={**environ, "RUNTIME_BACKEND": backend},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said = done.stderr.splitlines()
    if sys._is_gil_enabled():
        said = [line for line in said if not line.startswith(NOTICE)]
    assert said == []
    return done.stdout


def pages() -> str:
    """Return the text of all pages and the README."""
    paths = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    return "\n".join(path.read_text() for path in paths)


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", PROGRAMS)
def test_example_prints_what_the_page_says(name, backend):
    if (reason := why_unavailable(backend)) is not None:
        pytest.skip(reason)
    if backend != "threads" and name in THREADS_ONLY:
        pytest.skip("the same with threads")
    expected = (EXAMPLES / f"{name}.out").read_text()
    # A coverage tool cannot begin in an interpreter, and slows what is measured.
    traced = backend == "threads" and name not in MEASURING
    printed = run_python(f"{name}.py", backend=backend, traced=traced)
    if name in MEASURING:
        expected, printed = (
            re.sub(r" *\d+", " N", text) for text in (expected, printed)
        )
    assert printed == expected


@pytest.mark.slow
def test_example_test_passes_under_pytest():
    printed = run_python(
        "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_gallery.py"
    )
    assert "1 passed" in printed


def test_examples_and_their_outputs_are_all_shown():
    text = pages()
    files = {path.name for path in EXAMPLES.iterdir() if path.is_file()}
    shown = {name for name in files if f"examples/{name}" in text}
    assert files - shown == {"readme.out"}


def test_readme_shows_the_readme_example():
    assert (EXAMPLES / "readme.py").read_text() in (ROOT / "README.md").read_text()
