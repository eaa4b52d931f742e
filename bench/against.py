"""Old and new in one run: ``./dev bench --against REVISION SITUATION...``.

Each turn runs a situation twice, once in a checkout of the revision and once in this
one, in a process each, in an order that changes from turn to turn. A contender's ratio
is taken between the two processes of a turn; the table shows the median of the turns
and their range. Each checkout runs its own benchmarks on its own package.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from .quantiles import quantile, spread
from .report import layout

__all__ = ("compare",)

ROOT = Path(__file__).resolve().parent.parent
TURNS = 7

type _Medians = dict[str, float]


def compare(revision: str, situations: Sequence[str], options: Sequence[str]) -> int:
    """Compare this checkout with a revision; print a table for each situation.

    Args:
      options: Given to each run.
    """
    with _checkout(revision) as old:
        for situation in situations:
            turns = [
                _turn(situation, old, options, old_first=turn % 2 == 0)
                for turn in range(TURNS)
            ]
            print(f"\n{situation}: this checkout against {revision}, {TURNS} turns")
            print(layout(_table(turns)), flush=True)
    return 0


@contextmanager
def _checkout(revision: str) -> Iterator[Path]:
    """Check out a revision, with its native core, for the length of the block."""
    git = ["git", "-C", str(ROOT), "worktree"]
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory, "old")
        subprocess.run(
            [*git, "add", "--detach", "--quiet", place, revision], check=True
        )
        try:
            build = [sys.executable, "setup.py", "--quiet", "build_ext", "--inplace"]
            subprocess.run(build, cwd=place, check=True, capture_output=True)
            yield place
        finally:
            subprocess.run([*git, "remove", "--force", place], check=True)


def _turn(
    situation: str, old: Path, options: Sequence[str], *, old_first: bool
) -> tuple[_Medians, _Medians]:
    """Run both, one after the other; return what the old and the new found."""
    found = {
        place: _run(situation, place, options)
        for place in ((old, ROOT) if old_first else (ROOT, old))
    }
    return found[old], found[ROOT]


def _run(situation: str, place: Path, options: Sequence[str]) -> _Medians:
    """Run a situation in a checkout; return each contender's median."""
    with tempfile.NamedTemporaryFile() as file:
        subprocess.run(
            [
                *(sys.executable, place / "bench" / "run.py", situation),
                *("--json", file.name, *options),
            ],
            env={**os.environ, "PYTHONPATH": str(place)},
            check=True,
            stdout=subprocess.DEVNULL,
        )
        (finding,) = json.load(file)["situations"]
    samples: dict[str, list[float]] = finding["report"]["samples"]
    return {name: quantile(values, 0.5) for name, values in samples.items() if values}


def _table(turns: Sequence[tuple[_Medians, _Medians]]) -> list[list[str]]:
    """Return how many times less the new one takes than the old, per contender."""
    names = [name for name in turns[0][1] if name in turns[0][0]]
    rows = [["", "old / new", "p10-p90"]]
    for name in names:
        ratio = spread([old[name] / new[name] for old, new in turns])
        rows.append([name, f"{ratio.median:.3f}", f"{ratio.p10:.2f}-{ratio.p90:.2f}"])
    return rows
