"""Constants of functions that were compiled before the first thread."""

import functools
import subprocess
import sys

import pytest
from helpers import environ_with_coverage

import runtime
from runtime._iter import constants
from runtime._iter.constants import settle_constants

MODULE = """
def helper(x):
    return x + 0.625

def work(x):
    inner = lambda y: y * 0.375
    return helper(x) + inner(x) + 0.875

def combine(a, b):
    return a + b + 0.4375 - 0.4375
"""

PROGRAM = """
import sys
import module  # compiled here, before the first thread

def count(code):
    found = {c: sys.getrefcount(c) for c in code.co_consts if type(c) is float}
    for inner in code.co_consts:
        if hasattr(inner, "co_consts"):
            found |= count(inner)
    return found

import runtime
import runtime._iter.drive
runtime._iter.drive.SPLIT_NS = 0
with runtime.open_sync_pool(2):
    runtime.par_iter(range(5000)).map(module.work).reduce(module.combine)
for fn in (module.work, module.helper, module.combine):
    for value, references in count(fn.__code__).items():
        print(value, references > 2**30)
"""


@pytest.mark.skipif("__import__('sys')._is_gil_enabled()", reason="nothing to gain")
def test_chain_on_two_workers_makes_constants_immortal(tmp_path):
    (tmp_path / "module.py").write_text(MODULE)
    done = subprocess.run(
        [sys.executable, "-B", "-c", PROGRAM],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=100,
        env=environ_with_coverage(),
        check=True,
    )
    lines = dict(line.split() for line in done.stdout.splitlines())
    assert lines == dict.fromkeys(("0.625", "0.375", "0.875", "0.4375"), "True")


def test_functions_are_followed_and_cycles_end(monkeypatch):
    settled = {}
    monkeypatch.setattr(constants, "_settled", settled)
    monkeypatch.setattr(constants, "is_gil_enabled", lambda: False)
    for fn in (ping, functools.partial(ping, 1), Method().call, len, None, 3):
        settle_constants(fn)
    names = {code.co_name for code in settled.values()}
    assert {"ping", "pong", "call", "<lambda>"} <= names


def ping(n):
    return (lambda: pong(n - 1))() if n else 0.5


def pong(n):
    return ping(n)


class Method:
    def call(self):
        return 0.25


def test_nothing_is_done_for_a_chain_of_one_leaf(monkeypatch, pair, eager):
    monkeypatch.setattr(constants, "_settled", settled := {})
    with eager(leaf_ns=1 << 60):
        assert runtime.par_iter(range(90)).map(lambda x: x + 0.5).count() == 90
    assert settled == {}


def test_one_worker_too_counts_no_constants(monkeypatch, eager):
    monkeypatch.setattr(constants, "is_gil_enabled", lambda: False)
    monkeypatch.setattr(constants, "_settled", settled := {})
    with runtime.open_sync_pool(1), eager():
        assert runtime.par_iter(range(90)).map(lambda x: x + 0.5).count() == 90
    assert "<lambda>" in {code.co_name for code in settled.values()}
