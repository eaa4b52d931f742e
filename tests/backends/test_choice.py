"""Which backend "auto" is, and what is said of those that are not there."""

import os
import subprocess
import sys
from _thread import allocate_lock

import pytest

import runtime
from runtime import _backends


@pytest.fixture
def unset(monkeypatch):
    monkeypatch.delenv("RUNTIME_BACKEND")


def test_auto_is_threads_without_a_gil(unset, monkeypatch):
    monkeypatch.setattr(_backends, "_has_gil", lambda: False)
    assert _backends.choose_backend("auto") == "threads"


def test_auto_is_interpreters_with_a_gil(unset, monkeypatch, interpreters):
    monkeypatch.setattr(_backends, "_has_gil", lambda: True)
    assert _backends.choose_backend("auto") == "interpreters"


@pytest.fixture
def without_interpreters(monkeypatch):
    """There is a GIL, but there are no interpreters, and nobody was told so yet."""
    monkeypatch.setattr(_backends, "_has_gil", lambda: True)
    monkeypatch.setattr(_backends, "why_unavailable", {"interpreters": "no"}.get)
    monkeypatch.setattr(_backends, "_warned", allocate_lock())


def test_auto_is_threads_where_there_are_no_interpreters_and_says_so_once(
    unset, without_interpreters, caplog
):
    assert [_backends.choose_backend("auto") for _ in range(2)] == ["threads"] * 2
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("runtime", "WARNING")
    assert record.getMessage() == (
        "pools use threads, which take turns in Python code: no"
    )


def test_threads_that_were_asked_for_are_not_spoken_of(
    unset, without_interpreters, monkeypatch, caplog
):
    assert _backends.choose_backend("threads") == "threads"
    monkeypatch.setenv("RUNTIME_BACKEND", "threads")
    assert _backends.choose_backend("auto") == "threads"
    assert caplog.records == []


def test_the_environment_says_what_auto_is(monkeypatch, interpreters):
    monkeypatch.setenv("RUNTIME_BACKEND", "interpreters")
    assert _backends.choose_backend("auto") == "interpreters"
    assert _backends.choose_backend("threads") == "threads"
    monkeypatch.setenv("RUNTIME_BACKEND", "fibres")
    with pytest.raises(ValueError, match="fibres"):
        _backends.choose_backend("auto")


def test_a_backend_that_is_not_there_is_an_error(monkeypatch):
    monkeypatch.setattr(_backends, "why_unavailable", lambda name: "it is gone")
    with pytest.raises(runtime.BackendUnavailableError, match="it is gone"):
        _backends.choose_backend("interpreters")


UNGUARDED = """
import sys, trio, runtime

def double(x):
    return 2 * x

async def main():
    async with runtime.open_worker_pool(2) as pool:
        {use}

{run}
"""
CALL = "await pool.spawn_cpu_work(double, 1)"
BATCH = "await pool.spawn_parallel_batch([1, 2], double)"
CHAIN = "await pool.par_iter([1, 2]).map(double).sum()"
PROCESSOR = "async with runtime.ParallelProcessor(double) as p: await p.execute(1)"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("use", "run"),
    [
        (CALL, "trio.run(main)"),
        (BATCH, "trio.run(main)"),
        (CHAIN, "trio.run(main)"),
        (PROCESSOR, "sys.exit(trio.run(main))"),
        (CALL, "with runtime.open_sync_pool(): trio.run(main)"),
        (CALL, "if __name__ == '__main__': trio.run(main)\nsys.exit(0)"),
    ],
)
def test_a_script_without_a_guard_is_told(interpreters, tmp_path, use, run):
    """The worker's own traceback tells nothing: one line does."""
    script = UNGUARDED.format(use=use, run=run)
    (tmp_path / "script.py").write_text(script)
    done = subprocess.run(
        [sys.executable, tmp_path / "script.py"],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "RUNTIME_BACKEND": "interpreters"},
    )
    assert done.returncode == 1
    line = len(script.splitlines())
    assert "put 'if __name__ == \"__main__\":' before" in done.stderr
    assert f"line {line} of {tmp_path / 'script.py'}" in done.stderr
    if "sys.exit(0)" in run:
        assert "raised SystemExit(0)" in done.stderr
    else:
        assert "no pool of its own" in done.stderr
        assert "direct cause" not in done.stderr


BROKEN = """
import trio, runtime

def double(x):
    return 2 * x

async def main():
    async with runtime.open_worker_pool(1) as pool:
        await pool.spawn_cpu_work(double, 1)

if __name__ == "__main__":
    trio.run(main)
else:
    raise OSError("no such device")
"""


@pytest.mark.slow
def test_a_script_that_fails_when_it_is_run_again_shows_where(interpreters, tmp_path):
    (tmp_path / "script.py").write_text(BROKEN)
    done = subprocess.run(
        [sys.executable, tmp_path / "script.py"],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "RUNTIME_BACKEND": "interpreters"},
    )
    remote, _, _ = done.stderr.partition("direct cause")
    assert 'line 14, in <module>\n    raise OSError("no such device")' in remote
    assert remote.count("  File ") == 1  # none of ours
    assert done.stderr.endswith("OSError: no such device\n")


LATE = """
import runtime, trio

async def main():
    await runtime.spawn_cpu_work(late)

if __name__ == "__main__":
    def late():
        pass
    trio.run(main)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "where"),
    [(["-c", LATE], "at the prompt, in a notebook"), (["late.py"], "under 'if __name")],
)
def test_a_function_that_a_worker_cannot_find(interpreters, tmp_path, options, where):
    (tmp_path / "late.py").write_text(LATE)
    done = subprocess.run(
        [sys.executable, "-P", *options],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "RUNTIME_BACKEND": "interpreters"},
    )
    last = done.stderr.strip().splitlines()[-1]
    assert "CrossingError: a worker's interpreter did not find" in last
    assert "'late'" in last
    assert where in last
