"""How many instructions a fork and a submit take: a guard that no neighbour disturbs.

Counted by valgrind's callgrind, on one thread, but for the call from Trio, whose count
varies by some per cent with how the threads take turns. What starting the interpreter
takes is the same in two counts, and gone from their difference. The counts of an
earlier run are in ``results/instructions.json``, by build and core; ``--record``
replaces them.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from ..core_costs import core_name
from ..forks import fork_count
from ..harness import Settings
from ..machine import machine_facts
from ..report import Report, Target

__all__ = ("run",)

PROGRAM = Path(__file__).parent.parent / "counted.py"
RECORD = Path(__file__).parent.parent / "results" / "instructions.json"
MOST_GROWTH = 1.10
NUMBER = 22  # of fib: 28,656 forks
FEW, MANY = 100, 20_100
FEW_CALLS, MANY_CALLS = 200, 1_200
A_CALL = "a call in a nursery, above one checkpoint"
TITLE = "instructions of a fork net of the plain call, of a submit, of a call from Trio"

type Counts = dict[str, float]


def run(settings: Settings) -> Report:
    """Measure the situation."""
    if shutil.which("valgrind") is None:
        return Report(
            name="core_instructions",
            title=TITLE,
            notes=["not measured: no valgrind; on Debian: apt-get install valgrind"],
            table=[["", "instructions"]],
            samples={},
            sample_unit="instructions",
        )
    build = _build(settings)
    records = _read_records()
    counts = _measure()
    if settings.is_recording:
        records[build] = {what: round(count) for what, count in counts.items()}
        RECORD.parent.mkdir(exist_ok=True)
        RECORD.write_text(json.dumps(records, indent=1, sort_keys=True) + "\n")
    known = records.get(build, {})
    return Report(
        name="core_instructions",
        title=TITLE,
        notes=[f"of {build}, by callgrind; a fork and a submit on one thread"]
        + ([] if known else ["no record of this build yet; --record makes one"]),
        table=[["", "now", "recorded"]]
        + [
            [what, f"{count:.0f}", f"{known[what]:.0f}" if what in known else "-"]
            for what, count in counts.items()
        ],
        samples={what: [count] for what, count in counts.items()},
        sample_unit="instructions",
        targets=[_target(what, counts, known) for what in counts if what in known],
    )


def _target(what: str, counts: Counts, known: Counts) -> Target:
    return Target(
        f"instructions of {what}",
        f"<= {MOST_GROWTH:.2f} x the {known[what]:.0f} recorded",
        f"{counts[what] / known[what]:.3f} ({counts[what]:.0f})",
        counts[what] <= MOST_GROWTH * known[what],
    )


def _build(settings: Settings) -> str:
    facts = machine_facts(settings.worker_count)
    return f"Python {facts['python']} ({facts['build']}), {core_name()} core"


def _read_records() -> dict[str, Counts]:
    if not RECORD.exists():
        return {}
    records: dict[str, Counts] = json.loads(RECORD.read_text())
    return records


def _measure() -> Counts:
    forks = _count("fork", NUMBER) - _count("plain", NUMBER)
    submits = _count("submit", MANY) - _count("submit", FEW)
    calls = _slope("call") - _slope("floor")
    return {
        "a fork": forks / fork_count(NUMBER),
        "a submit": submits / (MANY - FEW),
        A_CALL: calls,
    }


def _slope(what: str) -> float:
    """Return what one more takes, where there are many."""
    more = _count(what, MANY_CALLS) - _count(what, FEW_CALLS)
    return more / (MANY_CALLS - FEW_CALLS)


def _count(what: str, size: int) -> int:
    """Return the instructions that a process takes in all."""
    callgrind = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    done = subprocess.run(
        [*callgrind, sys.executable, str(PROGRAM), what, str(size)],
        env={**os.environ, "PYTHONHASHSEED": "0", "RUNTIME_CORE": core_name()},
        capture_output=True,
        text=True,
        check=True,
    )
    found = re.search(r"Collected : (\d+)", done.stderr)
    assert found is not None, done.stderr
    return int(found[1])
