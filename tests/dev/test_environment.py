"""Environments: made once, made anew when something changed, whole or not at all."""

from types import SimpleNamespace

import pytest

pytestmark = pytest.mark.thread_unsafe  # the process has one environment

# A stand-in for an interpreter whose `-m venv DIR` makes another one in DIR. The
# one in DIR logs what pip is asked for; `pip install broken` fails.
VENV = """
[ "$2" = venv ] || exit 0
bin="$3/bin"
mkdir -p "$bin"
printf '#!/bin/sh\\necho "$@" >> {log}\\ncase "$*" in *broken*) exit 1 ;; esac\\n' \\
    > "$bin/python"
chmod +x "$bin/python"
"""


@pytest.fixture
def project(dev, world, system_path, tmp_path, monkeypatch):
    """A checkout and an interpreter to make environments with."""
    root = tmp_path / "checkout"
    root.mkdir()
    (root / "pyproject.toml").write_text("one")
    monkeypatch.setattr(dev, "ROOT", root)
    log = tmp_path / "pip.log"
    path = world.script(tmp_path / "base/python3", VENV.format(log=log))
    return SimpleNamespace(root=root, python=dev.Python(path, "3.13.9", True), log=log)


def installs(project):
    """Count how often the things themselves were installed."""
    return sum("thing" in line for line in project.log.read_text().splitlines())


def test_environment_is_made_once(dev, project):
    first = dev.environment(project.python, "demo", ["thing"])
    second = dev.environment(project.python, "demo", ["thing"])
    assert first == second
    assert installs(project) == 1


def test_environment_is_made_anew_when_pyproject_changed(dev, project):
    dev.environment(project.python, "demo", ["thing"])
    (project.root / "pyproject.toml").write_text("two")
    dev.environment(project.python, "demo", ["thing"])
    assert installs(project) == 2


def test_environment_is_made_anew_when_the_interpreter_changed(dev, project):
    dev.environment(project.python, "demo", ["thing"])
    dev.environment(project.python._replace(version="3.13.10"), "demo", ["thing"])
    assert installs(project) == 2


def test_environment_of_another_checkout_is_another(dev, project, monkeypatch):
    first = dev.environment(project.python, "demo", ["thing"])
    other = project.root.with_name("other")
    other.mkdir()
    (other / "pyproject.toml").write_text("one")
    monkeypatch.setattr(dev, "ROOT", other)
    assert dev.environment(project.python, "demo", ["thing"]) != first


def test_environment_failed_leaves_nothing_and_shows_the_log(dev, world, project):
    with pytest.raises(dev.Problem, match="install failed") as caught:
        dev.environment(project.python, "demo", ["broken"])
    assert "network" in str(caught.value)
    assert list((world.cache / "envs").iterdir()) == []


def test_environment_without_its_stamp_is_not_used(dev, project):
    """A killed run leaves an environment without a stamp."""
    python = dev.environment(project.python, "demo", ["thing"])
    (python.parents[1] / "stamp").unlink()
    dev.environment(project.python, "demo", ["thing"])
    assert installs(project) == 2
