"""Usage, help, and what a command may not cost before it begins."""

import subprocess
import sys

import pytest

import runtime
from runtime._cli.main import main

pytestmark = pytest.mark.slow  # starts interpreters


@pytest.mark.parametrize("command", [[], ["map"], ["demo"], ["doctor"]])
def test_help_tells_usage_and_exits_0(run_cli, command):
    done = run_cli(*command, "--help")

    assert done.returncode == 0
    assert done.stdout.startswith("usage: python -m runtime")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nonsense"],
        ["map"],
        ["map", "m:f", "--workers", "0"],
        ["map", "m:f", "--max-in-flight", "many"],
        ["map", "m:f", "--on-error", "cry"],
    ],
)
def test_misuse_exits_2(run_cli, arguments):
    done = run_cli(*arguments)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage: ")


def test_misuse_says_what_is_wrong_in_the_users_words(run_cli):
    done = run_cli("map", "m:f", "--workers", "many")
    assert done.stderr.endswith("argument --workers: 'many' is not a whole number\n")
    done = run_cli("map")
    assert done.stderr.endswith("are required: MODULE:CALLABLE\n")


def test_backend_that_is_not_there_is_one_line_and_2(run_cli):
    reason = run_cli("doctor").stdout
    if "backend interpreters  available" in reason:
        pytest.skip("every backend is there")
    done = run_cli("map", "user:same", "--backend", "interpreters")

    assert done.returncode == 2
    assert done.stderr.startswith(
        "runtime map: backend 'interpreters' is not available"
    )
    assert done.stderr.count("\n") == 1


def test_version_is_told(run_cli):
    assert run_cli("--version").stdout == f"trio-runtime {runtime.__version__}\n"


@pytest.mark.parametrize("command", ["--help", "doctor"])
def test_quick_command_imports_neither_trio_nor_rich(command, tmp_path):
    source = f"""
import sys
from runtime._cli.main import main
try:
    main([{command!r}])
except SystemExit:
    pass
print("loaded:", sorted({{"trio", "rich"}} & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", source],
        cwd=tmp_path,  # so that the installed package is imported
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.stdout.splitlines()[-1] == "loaded: []"


def test_interrupt_before_anything_began_is_130(monkeypatch):
    def interrupted(name, package):
        raise KeyboardInterrupt

    monkeypatch.setattr("importlib.import_module", interrupted)

    assert main(["doctor"]) == 130
