"""End to end: ``python -m runtime doctor``."""

import os
import subprocess
import sys

import pytest

from runtime._cli import doctor
from runtime._util import available_cores

pytestmark = pytest.mark.slow  # starts interpreters


def answers(done):
    assert done.returncode == 0
    assert done.stderr == ""
    lines = [line.strip().split("  ", 1) for line in done.stdout.splitlines()]
    return {title: answer.strip() for title, answer in lines}


def test_doctor_tells_build_gil_and_cores(run_cli):
    told = answers(run_cli("doctor"))

    assert told["GIL now"].startswith("on" if sys._is_gil_enabled() else "off")
    assert told["cores"].split()[0] == str(available_cores())
    assert told["backend threads"] == "available"
    assert told["core"] in ("python", "native")


def test_doctor_sees_the_affinity(user_directory):
    one = min(os.sched_getaffinity(0))
    source = (
        f"import os, runpy; os.sched_setaffinity(0, {{{one}}}); "
        "import sys; sys.argv = ['runtime', 'doctor']; "
        "runpy.run_module('runtime', run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", source],
        cwd=user_directory,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert "1 usable: " in done.stdout
    assert "1 by affinity" in done.stdout


@pytest.mark.skipif(sys._is_gil_enabled(), reason="needs a build without the GIL")
def test_doctor_tells_a_gil_that_was_asked_for(user_directory):
    done = subprocess.run(
        [sys.executable, "-X", "gil=1", "-m", "runtime", "doctor"],
        cwd=user_directory,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert answers(done)["GIL now"].startswith("on, although")


def test_import_tells_what_becomes_of_the_gil(run_cli):
    state = "on" if sys._is_gil_enabled() else "off"

    told = answers(run_cli("doctor", "--import", "json", "--import", "user"))

    assert told["import json"] == f"leaves the GIL {state}"
    assert told["import user"] == f"leaves the GIL {state}"


def test_import_that_turns_the_gil_on_is_told(monkeypatch):
    """No extension at hand does it on every build; the child's answer is made up."""

    def answer(command, **_options):
        return subprocess.CompletedProcess(command, 0, "chatter\nGIL False True\n", "")

    monkeypatch.setattr("subprocess.run", answer)

    assert doctor._import_effect("bad").startswith("turns the GIL on")


def test_import_that_fails_is_told(run_cli):
    told = answers(run_cli("doctor", "--import", "no_such_module"))

    assert told["import no_such_module"].startswith("failed: ModuleNotFoundError")


def test_import_that_takes_too_long_is_told(monkeypatch, user_directory):
    (user_directory / "endless.py").write_text("while True: pass\n")
    monkeypatch.chdir(user_directory)
    monkeypatch.setattr(doctor, "_IMPORT_TIMEOUT", 0.5)

    assert doctor._import_effect("endless") == "took longer than 0 s"


def test_package_that_is_missing_is_told():
    assert doctor._version("no-such-distribution") == "not installed"
