"""What the commands choose, say and run."""

import ast
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

pytestmark = pytest.mark.thread_unsafe  # the process has one environment

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture
def ran(dev, monkeypatch):
    """Record what would have been run, instead of becoming it."""
    ran = []
    monkeypatch.setattr(
        dev, "environment", lambda python, purpose, what: f"{purpose}:{python.kind}"
    )
    monkeypatch.setattr(
        dev, "replace_process", lambda command, **env: ran.append((command, env))
    )
    return ran


def run_dev(*args):
    return subprocess.run(
        [sys.executable, CHECKOUT / "dev", *args], capture_output=True, text=True
    )


def test_help_names_every_command(dev, world):
    done = run_dev("help")
    assert done.returncode == 0
    for command in dev.COMMANDS:
        assert command.startswith("-") or f"  {command} " in done.stdout


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["nope"], "'nope' is not a command"),
        (["python"], "Which Python?"),
        (["python", "3.12"], "'3.12' is not a Python this project knows"),
        (["demo", "--python"], "--python needs a version"),
        (["bench", "--python=2"], "'2' is not a Python this project knows"),
    ],
)
def test_misuse_is_one_line_and_status_2(world, args, message):
    done = run_dev(*args)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_cache_that_cannot_be_written_is_one_line(world, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    done = run_dev("help")
    assert done.returncode == 2
    assert done.stderr == "dev: ~/file/trio-runtime: Not a directory\n"


def test_script_can_be_parsed_by_an_old_python():
    ast.parse((CHECKOUT / "dev").read_text(), feature_version=(3, 7))


def test_old_python_hands_over_to_a_newer_one(dev, world, monkeypatch):
    newer = world.script(world.bin / "python3.12", "exit 0\n")
    world.script(world.bin / "python3.13", "exit 127\n")  # a shim that is not selected
    became = []
    monkeypatch.setattr(os, "execv", lambda path, words: became.append(words))
    monkeypatch.setattr(sys, "argv", ["dev", "test", "-e", "lint"])
    with pytest.raises(SystemExit):  # execv has returned, which it never does
        dev.run_again_under_newer_python()
    assert became == [[str(newer), str(CHECKOUT / "dev"), "test", "-e", "lint"]]


def test_old_python_alone_says_which_is_needed(dev, world):
    with pytest.raises(SystemExit, match=r"needs Python 3\.11 or later"):
        dev.run_again_under_newer_python()


def test_demo_prefers_a_free_threaded_python(dev, world, ran, capfd):
    world.python(world.bin / "python3.14", "3.14.1")
    world.python(world.bin / "python3.13t", "3.13.9", True)
    dev.command_demo(["--limit", "5"])
    assert ran == [(["demo:3.13t", "-m", "runtime", "demo", "--limit", "5"], {})]
    assert "on all cores" in capfd.readouterr().err


def test_demo_with_a_gil_never_builds_and_says_how_to_do_better(
    dev, world, ran, capfd, monkeypatch
):
    monkeypatch.setattr(dev, "build", lambda kind: pytest.fail("built " + kind))
    world.python(world.bin / "python3.13", "3.13.9")
    dev.command_demo([])
    said = capfd.readouterr().err
    assert "Using Python 3.13.9 (~/bin/python3.13)" in said
    assert "jobs run in interpreters" in said
    assert "./dev demo --python 3.14t" in said


def test_demo_without_any_python_builds_and_says_so(
    dev, world, ran, capfd, monkeypatch
):
    built = []

    def build(kind):
        built.append(kind)
        return dev.Python(world.bin / "built", "3.13.9", True)

    monkeypatch.setattr(dev, "build", build)
    dev.command_demo([])
    assert built == ["3.14t"]
    assert "has to be built first" in capfd.readouterr().err


def test_demo_takes_the_python_asked_for(dev, world, ran):
    world.python(world.bin / "python3.13t", "3.13.9", True)
    world.python(world.bin / "python3.13", "3.13.9")
    dev.command_demo(["--python", "3.13"])
    assert ran[0][0][0] == "demo:3.13"


def test_bench_runs_on_the_default_python(dev, world, ran):
    world.python(world.bin / "python3.13t", "3.13.9", True)
    dev.command_bench(["round_trip"])
    script = CHECKOUT / "bench" / "run.py"
    assert ran == [(["bench:3.13t", script, "round_trip"], {})]


def test_python_passes_its_arguments_on(dev, world, ran):
    world.python(world.bin / "python3.13t", "3.13.9", True)
    dev.command_python(["3.13t", "-c", "pass"])
    assert ran == [(["python:3.13t", "-c", "pass"], {})]


def test_test_shows_tox_every_interpreter(dev, world, ran):
    paths = {
        world.python(world.bin / "python3.13", "3.13.9"),
        world.python(world.bin / "python3.13t", "3.13.9", True),
        world.python(world.bin / "python3.14", "3.14.1"),
        world.python(world.bin / "python3.14t", "3.14.1", True),
    }
    dev.command_test(["--", "-k", "steal"])
    command, env = ran[0]
    assert command[-3:] == ["--", "-k", "steal"]
    assert set(env["TOX_DISCOVER"].split(os.pathsep)) == set(map(str, paths))


@pytest.mark.parametrize(
    ("args", "kinds"),
    [
        ([], {"3.13t", "3.13", "3.14t", "3.14"}),
        (["-e", "py313t"], {"3.13t"}),
        (["-epy314t,py313", "--", "-e", "py314"], {"3.14t", "3.13"}),
        (["-e=coverage"], {"3.13t"}),
        (["-q", "-e", "typing"], {"3.13"}),
    ],
)
def test_test_gets_only_the_interpreters_it_needs(dev, args, kinds):
    assert set(dev.kinds_for_tox(args)) == kinds


def test_tox_lives_on_another_python_where_this_one_has_no_ensurepip(
    dev, world, monkeypatch
):
    monkeypatch.setattr(dev.importlib.util, "find_spec", lambda name: None)
    only = SimpleNamespace(kind="3.13t")
    assert dev.python_for_tox([only]) is only
