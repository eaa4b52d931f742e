"""Where `dev` looks for an interpreter, in which order, and what it refuses."""

import os

import pytest

pytestmark = pytest.mark.thread_unsafe  # the process has one environment

PLACES = ["path", "pyenv", "cache", "uv"]


def put_python(world, place):
    """Put a free-threaded 3.13 in one of the four places."""
    if place == "path":
        return world.python(world.bin / "python3.13t", "3.13.9", True)
    if place == "pyenv":
        path = world.pyenv / "versions/3.13.9t/bin/python3"
        return world.python(path, "3.13.9", True)
    if place == "cache":
        path = world.pythons / "3.13.9t/bin/python3"
        return world.python(path, "3.13.9", True)
    path = world.python(world.bin.parent / "uv/python3.13", "3.13.9", True)
    world.script(world.bin / "uv", f'[ "$2" = find ] && echo {path}\n')
    return path


@pytest.mark.parametrize("first", range(len(PLACES)), ids=PLACES)
def test_find_python_takes_the_first_place_that_has_it(dev, world, first):
    paths = [put_python(world, place) for place in PLACES[first:]]
    assert dev.find_python("3.13t").path == paths[0]


def test_find_python_nowhere_returns_none(dev, world):
    assert dev.find_python("3.13t") is None


def test_find_python_tells_free_threaded_from_gil_by_running_it(dev, world):
    plain = world.python(world.bin / "python3.13", "3.13.9", True)
    assert dev.find_python("3.13t").path == plain
    assert dev.find_python("3.13") is None


def test_find_python_finds_a_fitting_python3(dev, world):
    plain = world.python(world.bin / "python3", "3.14.1")
    assert dev.find_python("3.14").path == plain


def test_find_python_refuses_a_free_threaded_build_with_its_gil_on(dev, world):
    path = world.python(world.bin / "python3.13t", "3.13.9", True, gil=True)
    assert dev.find_python("3.13t") is None
    assert "its GIL is on" in dev.passed_over[path]


def test_find_python_refuses_one_that_cannot_make_an_environment(dev, world):
    path = world.python(world.bin / "python3.13", "3.13.9", missing=["ensurepip"])
    assert dev.find_python("3.13") is None
    assert dev.passed_over[path] == "it has no ensurepip"


def test_find_python_ignores_other_implementations(dev, world):
    world.python(world.bin / "python3.13", "3.13.9", name="pypy")
    assert dev.find_python("3.13") is None


@pytest.mark.parametrize("text", ["exit 1\n", "echo hello\n", "kill -9 $$\n"])
def test_find_python_goes_on_after_one_that_does_not_answer(dev, world, text):
    world.script(world.bin / "python3.13", text)
    good = world.python(world.pyenv / "versions/3.13.1/bin/python3", "3.13.1")
    assert dev.find_python("3.13").path == good


def test_find_python_does_not_run_pyenv_shims(dev, world, monkeypatch):
    shims = world.pyenv / "shims"
    ran = world.bin.parent / "ran"
    world.script(shims / "python3.13", f": > {ran}\n")
    monkeypatch.setenv("PATH", str(shims))
    assert dev.find_python("3.13") is None
    assert not ran.exists()


def test_find_python_takes_the_newest_of_pyenv(dev, world):
    for version in ("3.13.9", "3.13.10", "3.13.2"):
        world.python(world.pyenv / f"versions/{version}/bin/python3", version)
    assert dev.find_python("3.13").version == "3.13.10"


def test_find_python_follows_an_environment_to_its_base(dev, world):
    base = world.python(world.bin.parent / "base/python3.13", "3.13.9")
    os.symlink(base, world.bin / "python3")
    assert dev.find_python("3.13").path == base


def test_get_python_asks_uv_to_install_before_it_builds(dev, world, monkeypatch):
    built = []
    monkeypatch.setattr(dev, "build", built.append)
    path = world.bin.parent / "uv/python3.13t"
    world.python(path.with_name("new"), "3.13.9", True)
    world.script(
        world.bin / "uv",
        f'case "$2" in\n'
        f"install) /bin/mv {path.with_name('new')} {path} ;;\n"
        f"find) [ -e {path} ] && echo {path} ;;\n"
        f"esac\n",
    )
    assert dev.get_python("3.13t").path == path
    assert built == []


def test_get_python_builds_where_uv_cannot_deliver(dev, world, monkeypatch):
    monkeypatch.setattr(dev, "build", lambda kind: "built " + kind)
    world.script(world.bin / "uv", "exit 1\n")
    assert dev.get_python("3.13t") == "built 3.13t"
