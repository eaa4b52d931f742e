"""End to end: ``python -m runtime doctor``."""

import os
import shutil
import subprocess
import sys
import sysconfig
from importlib.util import find_spec

import pytest
from helpers import environ_with_coverage

from runtime import _backends, lowlevel
from runtime._cli import doctor
from runtime._cli.import_effect import import_effect, interpreters_effect
from runtime._util import available_cores

pytestmark = pytest.mark.slow  # starts interpreters


def answers(done, code=0):
    assert done.returncode == code
    assert done.stderr == ""
    table, _, _note = done.stdout.partition("\n\n")
    lines = [line.strip().split("  ", 1) for line in table.splitlines()]
    return {title: answer.strip() for title, answer in lines}


def test_doctor_tells_build_gil_and_cores(run_cli):
    told = answers(run_cli("doctor"))

    assert told["GIL now"].startswith("on" if sys._is_gil_enabled() else "off")
    assert told["cores"].split()[0] == str(available_cores())
    assert told["backend threads"] == "available"
    assert told["core"].split(":")[0] == lowlevel.core


def doctor_on_core(choice, spoil="pass"):
    """Run the command with RUNTIME_CORE set, after a statement that spoils things."""
    source = (
        f"import runpy, sys; sys.argv = ['runtime', 'doctor']; {spoil}; "
        "runpy.run_module('runtime', run_name='__main__')"
    )
    return answers(
        subprocess.run(
            [sys.executable, "-P", "-c", source],
            capture_output=True,
            text=True,
            timeout=60,
            env={**environ_with_coverage(), "RUNTIME_CORE": choice},
        )
    )


@pytest.mark.skipif(
    find_spec("runtime._native.scheduler") is None, reason="the native core is absent"
)
def test_doctor_tells_the_native_core():
    told = doctor_on_core("")

    assert told["core"] == "native: the scheduler in C"
    assert told["backend interpreters"] == "available"


def test_doctor_tells_that_the_python_core_was_asked_for():
    told = doctor_on_core("python")

    assert told["core"] == (
        "python: the scheduler in plain Python; the native core is turned off by "
        "RUNTIME_CORE=python: unset it"
    )
    assert told["backend interpreters"] == (
        "no: interpreters need the native core, which is turned off by "
        "RUNTIME_CORE=python: unset it, or use backend='threads'"
    )


def test_doctor_tells_that_the_native_core_was_not_built():
    told = doctor_on_core("", "sys.modules['runtime._native.scheduler'] = None")

    assert told["core"] == (
        "python: the scheduler in plain Python; the native core was not built: "
        "reinstall trio-runtime from a wheel, or where there is a C compiler"
    )
    assert told["backend interpreters"] == (
        "no: interpreters need the native core, which was not built: reinstall "
        "trio-runtime from a wheel, or where there is a C compiler, or use "
        "backend='threads'"
    )


def test_doctor_tells_that_the_native_core_does_not_load(tmp_path):
    """An extension of the right name that is no extension stands in its way."""
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    (tmp_path / f"scheduler{suffix}").write_text("no shared object\n")
    told = doctor_on_core(
        "", f"import runtime._native as n; n.__path__[:] = [{str(tmp_path)!r}]"
    )

    assert told["core"].startswith("python: ")
    assert "the native core cannot be loaded" in told["core"]
    assert "native core, which cannot be loaded" in told["backend interpreters"]


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
        env=environ_with_coverage(),
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
        env=environ_with_coverage(),
    )

    assert answers(done)["GIL now"].startswith("on, although")


def test_import_tells_what_becomes_of_the_gil(run_cli):
    state = "imported" if sys._is_gil_enabled() else "leaves the GIL off"

    told = answers(run_cli("doctor", "--import", "json", "--import", "user"))

    assert told["import json"] == state
    assert told["import user"] == state


SAYS_NOTHING_OF_THE_GIL = """
#include <Python.h>
static PyModuleDef_Slot slots[] = {{0}};
static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, .m_name = "unaware", .m_slots = slots};
PyMODINIT_FUNC PyInit_unaware(void) { return PyModuleDef_Init(&module); }
"""


def build_unaware(folder):
    target = folder / f"unaware{sysconfig.get_config_var('EXT_SUFFIX')}"
    include = f"-I{sysconfig.get_path('include')}"
    subprocess.run(
        ["cc", "-shared", "-fPIC", include, "-x", "c", "-", "-o", target],
        input=SAYS_NOTHING_OF_THE_GIL,
        text=True,
        check=True,
    )


@pytest.mark.skipif(sys._is_gil_enabled(), reason="needs a build without the GIL")
@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
def test_doctor_names_what_has_turned_the_gil_on(run_cli, user_directory):
    build_unaware(user_directory)
    (user_directory / "sitecustomize.py").write_text("import unaware\n")
    paths = os.pathsep.join([str(user_directory), *filter(None, sys.path)])

    done = run_cli("doctor", env={**os.environ, "PYTHONPATH": paths})

    done.stderr = ""  # the warning of Python's own
    told = answers(done)
    assert told["GIL now"].startswith("on: the import of 'unaware' has turned the GIL")
    assert "PYTHON_GIL=0" in told["GIL now"]


@pytest.mark.skipif(sys._is_gil_enabled(), reason="needs a build without the GIL")
def test_doctor_tells_a_gil_that_is_kept_off(run_cli):
    environ = {**environ_with_coverage(), "PYTHON_GIL": "0"}

    done = run_cli("doctor", "--import", "json", env=environ)

    assert answers(done)["GIL now"] == "off, and kept off by PYTHON_GIL=0"
    assert "imported later" not in done.stdout


@pytest.mark.skipif(sys._is_gil_enabled(), reason="needs a build without the GIL")
@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
def test_import_that_turns_the_gil_on_is_told(run_cli, user_directory):
    build_unaware(user_directory)
    (user_directory / "friendly.py").write_text("import unaware\n")

    imports = (f"--import={name}" for name in ("unaware", "friendly", "trio"))

    done = run_cli("doctor", *imports)

    told = answers(done)
    assert told["import unaware"].startswith("turns the GIL on: ")
    assert told["import friendly"].startswith(
        "turns the GIL on (it imports 'unaware'): "
    )
    assert told["import trio"] == "leaves the GIL off"
    assert "imported later can still turn the GIL on" in done.stdout
    assert "PYTHON_GIL=0" in done.stdout


needs_interpreters = pytest.mark.skipif(
    _backends.why_unavailable("interpreters") is not None, reason="has none"
)
WITH_FALLBACK = """
try:
    import faulthandler
except ImportError:
    pass
"""
INSIDE = "import os, _interpreters\nif _interpreters.get_current()[0] != 0: "


@needs_interpreters
@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("", "imported"),
        (
            WITH_FALLBACK,
            "imported with slower code of its own: 'faulthandler' does not",
        ),
        ("import faulthandler", "failed: 'faulthandler' does not support subinterp"),
        (INSIDE + "raise ValueError('no\\nway')", "failed: ValueError: no way"),
        (
            INSIDE + "os._exit(3)",
            "failed: it ended the process with code 3; use a pool",
        ),
    ],
)
def test_import_tells_what_interpreters_refuse(
    run_cli, user_directory, monkeypatch, source, words
):
    (user_directory / "tried.py").write_text(source)

    # A coverage tool cannot begin in an interpreter, and says so.
    done = run_cli("doctor", "--import", "tried", env=os.environ)
    told = answers(done)["in interpreters"]
    monkeypatch.chdir(user_directory)
    assert interpreters_effect("tried") == told

    assert told.startswith(words)
    assert ("backend='threads'" in told) == ("does not" in told or "process" in told)


def test_import_that_fails_is_told(run_cli):
    told = answers(run_cli("doctor", "--import", "no_such_module"), code=1)

    assert told["import no_such_module"].startswith("failed: ModuleNotFoundError")


ENDLESS = "while True: pass"
# Its child keeps the pipes open, and ignores that its parent was killed.
LEAVES_A_CHILD = "import subprocess, sys; subprocess.run([sys.executable, '-c', %r])"


@pytest.mark.parametrize("source", [ENDLESS, LEAVES_A_CHILD % ENDLESS])
def test_import_that_takes_too_long_is_told(monkeypatch, user_directory, source):
    (user_directory / "endless.py").write_text(source)
    monkeypatch.chdir(user_directory)

    assert import_effect("endless", timeout=0.5) == (
        "failed: takes longer than 0 s",
        False,
    )


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import os; os._exit(0)", "it ended the process with code 0"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "it ended the "),
        ("1 / 0", "ZeroDivisionError: division by zero"),
    ],
)
def test_import_that_ends_the_process_is_told(run_cli, user_directory, source, reason):
    (user_directory / "fatal.py").write_text(source)

    told = answers(run_cli("doctor", "--import", "fatal"), code=1)

    assert told["import fatal"].startswith(f"failed: {reason}")


def test_package_that_is_missing_is_told():
    assert doctor._version("no-such-distribution") == "not installed"
