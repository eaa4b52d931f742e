"""End to end: ``python -m runtime demo``, on a few modules."""

import os
import re
import signal
import sys

import pytest

from runtime._backends import BACKENDS, why_unavailable
from runtime._cli import demo
from runtime._cli.comparison import Comparison, Pass

pytestmark = pytest.mark.slow  # starts interpreters


def test_demo_compares_three_ways_and_tells_findings(run_cli):
    done = run_cli("demo", "--limit", 4, "--workers", 2)

    assert (done.returncode, done.stderr) == (0, "")
    assert "4 modules to read" in done.stdout
    for way in (
        r"plain Python, one core +[\d.]+ s +1\.00x",
        r"pool, 2 workers \(\w+\) +[\d.]+ s +[\d.]+x +\d+%",
        r"ceiling: best cut, 2 bare (threads|interpreters) +[\d.]+ s +[\d.]+x +100%",
        r"dispatch latency, pool idle +[\d.]+ \ws +[\d.]+ \ws",
        r"busy \d+% of the time: [\d,]+ jobs?, [\d,]+ stolen",
        r"longest function: [\w.]+ \(.+:\d+\) +[\d,]+ lines",
        r"most complex function: [\w.]+ \(.+:\d+\)",
    ):
        assert re.search(way, done.stdout), way
    assert "The results of all three are equal." in done.stdout
    assert ("has a GIL" in done.stdout) == sys._is_gil_enabled()


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_ceiling_is_of_the_pools_kind(run_cli, backend):
    if (reason := why_unavailable(backend)) is not None:
        pytest.skip(reason)
    options = "--limit", 2, "--workers", 2, "--backend", backend
    # A coverage tool cannot begin in an interpreter.
    done = run_cli("demo", *options, env=os.environ)

    assert (done.returncode, done.stderr) == (0, "")
    assert f"pool, 2 workers ({backend})" in done.stdout
    assert f"best cut, 2 bare {backend}" in done.stdout


def test_demo_with_one_module_works(run_cli):
    assert run_cli("demo", "--limit", "1").returncode == 0


def test_closed_output_ends_the_demo_quietly(start_cli):
    child = start_cli("demo", "--limit", "4")
    assert child.stdout.readline().startswith(b"The standard library")

    child.stdout.close()
    assert child.wait() == 0
    assert child.stderr.read() == b""


def test_interrupted_demo_ends_with_130_and_no_traceback(start_cli):
    child = start_cli("demo")
    assert child.stdout.readline().startswith(b"The standard library")

    child.send_signal(signal.SIGINT)
    _, errors = child.communicate()

    assert (child.returncode, errors) == (130, b"")


def test_results_that_differ_are_no_success(monkeypatch, capsys):
    async def differing(paths, worker_count, backend):
        statistics = dispatch = None
        return Comparison(Pass({"a": 1}), Pass({"a": 2}), Pass(), statistics, dispatch)

    monkeypatch.setattr(demo, "compare", differing)
    for name in ("_times", "_pool_figures", "_findings", "_note"):
        monkeypatch.setattr(demo, name, lambda *_: "")

    assert demo.run(_Arguments()) == 1
    assert "the results differ" in capsys.readouterr().err


class _Arguments:
    limit = 1
    workers = 1
    backend = "auto"
