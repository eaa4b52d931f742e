"""Usage, help, and what a command may not cost before it begins."""

import os
import subprocess
import sys

import pytest
from helpers import environ_with_coverage

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


@pytest.mark.parametrize("at", range(3))
def test_options_stand_anywhere(run_cli, user_directory, at):
    (user_directory / "numbers").write_text("1\n2\n")
    words = ["user:double", "numbers"]
    words[at:at] = ["--workers", "1", "--unordered"]

    assert run_cli("map", *words).stdout == "2\n4\n"


@pytest.mark.parametrize(
    ("command", "variable"),
    [
        (["map", "user:same"], "RUNTIME_BACKEND"),
        (["map", "user:same"], "RUNTIME_CORE"),
        (["demo", "--limit", "1"], "RUNTIME_BACKEND"),
        (["doctor"], "RUNTIME_CORE"),
    ],
)
def test_mistyped_variable_is_one_line_and_2(run_cli, command, variable):
    done = run_cli(*command, env={**environ_with_coverage(), variable: "thread"})

    assert done.returncode == 2
    assert done.stderr.startswith(
        f"runtime {command[0]}: the environment variable {variable} must be '"
    )
    assert done.stderr.endswith("not 'thread'\n")
    assert done.stderr.count("\n") == 1


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no full device")
@pytest.mark.parametrize(
    "command", [["doctor"], ["demo", "--limit", "1"], ["map", "user:same"]]
)
def test_output_that_cannot_be_written_is_one_line_and_2(start_cli, command):
    with open("/dev/full", "w") as full:
        child = start_cli(*command, stdout=full)
        _, errors = child.communicate(b"1\n")

    assert child.returncode == 2
    assert errors.endswith(b": cannot write results: No space left on device\n")
    assert errors.count(b"\n") == 1


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
