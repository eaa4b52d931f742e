"""The extension is optional: where it cannot be built, the rest still is."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Neither forced to a core, nor measured as a second copy of the package.
FOREIGN = ("RUNTIME_CORE", "COV")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        find_spec("setuptools") is None, reason="builds with setuptools, not installed"
    ),
]


def test_build_without_a_compiler_succeeds_without_the_extension(tmp_path):
    command = [sys.executable, "setup.py", "build", f"--build-base={tmp_path / 'base'}"]
    command += [f"--build-lib={tmp_path / 'lib'}", "egg_info", f"--egg-base={tmp_path}"]
    done = subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "CC": "/bin/false"},
    )
    assert done.returncode == 0, done.stderr

    show = "import runtime.lowlevel as l, sys; print(l.core, l.__file__)"
    shown = subprocess.run(
        [sys.executable, "-c", show],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        env={
            **{k: v for k, v in os.environ.items() if not k.startswith(FOREIGN)},
            "PYTHONPATH": str(tmp_path / "lib"),
        },
    )
    core, _, path = shown.stdout.partition(" ")
    assert core == "python", shown.stderr
    assert path.startswith(str(tmp_path / "lib"))
