"""The sleep protocol of SLEEP.md, in every interleaving, by the model checker spin.

The model is runtime/_core/SLEEP.pml. One test verifies it, for both cores; the others
break one line of the protocol at a time and must find it: they show that the first
could fail.
"""

import re
import shutil
import subprocess
from importlib.resources import files
from typing import NamedTuple

import pytest

# How the errors show.
LOST_WAKE_UP = "wake_up_is_lost"
JOB_IS_LEFT = "job_is_left"
WRONG_COUNT = "num_idle_is_wrong"
HANGS = "invalid end state"

NATIVE = ("-DNATIVE",)
THREE_WORKERS = ("-DWORKERS=3", "-DPOSTERS=1")


class Verdict(NamedTuple):
    """What spin found in a model."""

    error: str
    """Empty if there is none."""
    state_count: int
    unreached: list[str]
    """Statements that no interleaving gets to."""


@pytest.fixture
def verify(tmp_path):
    """Return a function that verifies the model as some switches make it."""
    for command in ("spin", "cc"):
        if shutil.which(command) is None:
            pytest.skip(f"no {command} here; on Debian: apt-get install spin gcc")

    def verify(*switches, optimization="-O1"):
        (tmp_path / "SLEEP.pml").write_text(
            files("runtime._core").joinpath("SLEEP.pml").read_text()
        )
        run("spin", *switches, "-a", "SLEEP.pml")
        # HC4 keeps a hash of 64 bits for each state: a quarter of the memory.
        checker = ("-DSAFETY", "-DHC4", "-DMEMLIM=2000")
        run("cc", "-w", optimization, *checker, "-o", "pan", "pan.c")
        return read_verdict(run("./pan", "-m20000", "-w22"))

    def run(*words):
        done = subprocess.run(
            words, cwd=tmp_path, capture_output=True, text=True, timeout=100
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return verify


def read_verdict(text):
    assert "max search depth too small" not in text, text
    assert "reached -DMEMLIM bound" not in text, text
    count = re.search(r"errors: (\d+)\n +(\d+) states, stored", text)
    assert count is not None, text
    error = re.search(r"^pan:1: (.*)", text, re.MULTILINE)
    assert (count[1] == "0") == (error is None), text
    return Verdict(
        "" if error is None else error[1],
        int(count[2]),
        re.findall(r"SLEEP.pml:\d+, state \d+, \"(.*)\"", text),
    )


@pytest.mark.slow
@pytest.mark.parametrize("core", [(), NATIVE], ids=["python", "native"])
def test_model_sleep_spin_finds_no_error(verify, core):
    """Two workers, two posters, a job that pushes a job, and the order to stop.

    1. jobs come from both posters and from a job, the order to stop at any time;
    2. a job may wait until all others have begun;
    3. no job is left in a queue with nobody responsible, and all workers end.
    """
    verdict = verify(*core)
    assert verdict.error == ""
    assert verdict.state_count > 1_000_000
    # Only the watch, which waits for an error, has steps that are never reached.
    errors = f"{LOST_WAKE_UP}|{JOB_IS_LEFT}|{WRONG_COUNT}|-end-"
    assert all(re.search(errors, step) for step in verdict.unreached)


@pytest.mark.slow
@pytest.mark.stress
def test_model_sleep_spin_with_three_workers_finds_no_error(verify):
    """As above, with three workers and one poster."""
    verdict = verify(*THREE_WORKERS, optimization="-O2")
    assert verdict.error == ""
    assert verdict.state_count > 10_000_000


@pytest.mark.slow
@pytest.mark.parametrize("core", [(), NATIVE], ids=["python", "native"])
@pytest.mark.parametrize(
    ("broken", "error"),
    [
        pytest.param("POST_ORDER", LOST_WAKE_UP, id="POST-2 before POST-1"),
        pytest.param("POST_2_COUNT", WRONG_COUNT, id="POST-2 does not count"),
        pytest.param("SLEEP_2_ORDER", LOST_WAKE_UP, id="SLEEP-2 looks first"),
        pytest.param("SLEEP_4", HANGS, id="no SLEEP-4"),
        pytest.param("SLEEP_4_ORDER", HANGS, id="SLEEP-4 before SLEEP-3"),
        pytest.param("LOOK_INJECTOR", LOST_WAKE_UP, id="no look at the injector"),
        pytest.param("LOOK_DEQUES", LOST_WAKE_UP, id="no look at the deques"),
        pytest.param("LOOK_STOP", HANGS, id="no look at the order to stop"),
        pytest.param("STOP_ORDER", JOB_IS_LEFT, id="search before the flag"),
    ],
)
def test_model_sleep_spin_finds_a_broken_line(verify, core, broken, error):
    """One line of the protocol is left out or moved; spin finds a bad interleaving."""
    verdict = verify(f"-DBREAK_{broken}", *core, optimization="-O0")
    assert error in verdict.error


@pytest.mark.parametrize("label", ["POST", "SLEEP"])
def test_model_sleep_spin_has_every_step_of_the_protocol(label):
    core = files("runtime._core")
    step = re.compile(rf"\b{label}-\d\b")
    prose = core.joinpath("SLEEP.md").read_text()
    model = core.joinpath("SLEEP.pml").read_text()
    assert set(step.findall(prose)) == set(step.findall(model)) != set()
