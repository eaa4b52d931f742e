"""A fresh copy of `dev` in an empty world: own home, cache, PATH and checkout."""

import importlib.machinery
import importlib.util
import json
import os
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]


def load_dev():
    """Import the script, which has no `.py` in its name."""
    loader = importlib.machinery.SourceFileLoader("dev_script", str(CHECKOUT / "dev"))
    spec = importlib.util.spec_from_loader("dev_script", loader)
    module = importlib.util.module_from_spec(spec)
    keep = sys.dont_write_bytecode
    sys.dont_write_bytecode = True  # no __pycache__ at the top of the checkout
    try:
        loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = keep
    return module


class World:
    """The places `dev` looks at, all below one temporary directory."""

    def __init__(self, root):
        self.bin = root / "bin"
        self.pyenv = root / "pyenv"
        self.cache = root / "cache" / "trio-runtime"
        self.pythons = self.cache / "pythons"
        self.bin.mkdir()

    def script(self, path, text):
        """Write an executable shell script."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("#!/bin/sh\n" + text)
        path.chmod(0o755)
        return path

    def python(self, path, version, free_threaded=False, **facts):
        """Write a stand-in for an interpreter that answers the probe."""
        facts = {
            "name": "cpython",
            "version": version,
            "free_threaded": free_threaded,
            "gil": not free_threaded,
            "missing": [],
        } | facts
        return self.script(path, f"echo '{json.dumps(facts)}'\n")


@pytest.fixture
def world(tmp_path, monkeypatch):
    world = World(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PYENV_ROOT", str(world.pyenv))
    monkeypatch.setenv("PATH", str(world.bin))
    return world


@pytest.fixture
def dev(world):
    return load_dev()


@pytest.fixture
def system_path(world, monkeypatch):
    """Let the machine's own tools be found behind the world's."""
    monkeypatch.setenv("PATH", f"{world.bin}{os.pathsep}/usr/bin{os.pathsep}/bin")
