"""The command line of the benchmarks."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from . import situations
from .against import compare
from .harness import Settings, WrongAnswerError
from .machine import Facts, core_count, is_claim_machine, machine_facts
from .neighbours import Neighbours, is_disturbed
from .report import Report, layout

__all__ = ("main",)

NEEDED = ("runtime", "trio", "trio_parallel", "anyio")


@dataclass(frozen=True, slots=True)
class _Finding:
    """A situation's report, and what other processes did meanwhile."""

    report: Report
    others_used_cores: list[float]
    """In each round."""
    repeated_rounds: int
    """Rounds that were measured again."""


def main(arguments: Sequence[str]) -> int:
    """Run the situations asked for; return the exit status.

    Returns:
      0 when everything ran, also when a target was missed; 1 for a wrong answer; 2 for
      wrong usage or a missing package.
    """
    options = _parser().parse_args(arguments)
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        return _fail(
            f"not installed: {', '.join(missing)}; `./dev bench` sets up all of them", 2
        )
    if options.against is not None:
        passed_on = ["--rounds", str(options.rounds)] if options.rounds else []
        passed_on += ["--quick"] if options.quick else []
        return compare(
            options.against, options.situations or situations.NAMES, passed_on
        )
    settings = Settings(
        options.workers,
        options.seed,
        options.rounds,
        options.quick,
        Neighbours(is_avoided=options.quiet),
        options.record,
    )
    facts = machine_facts(settings.worker_count)
    print(_head(facts, settings), flush=True)
    try:
        found = [
            _run(name, settings) for name in options.situations or situations.NAMES
        ]
    except WrongAnswerError as wrong:
        return _fail(str(wrong), 1)
    except (KeyboardInterrupt, BaseExceptionGroup) as stop:
        if not _is_interrupt(stop):
            raise
        return _fail("interrupted", 130)
    print(_must_show(found, facts, settings))
    if options.json is not None:
        options.json.write_text(_as_json(facts, settings, found), encoding="utf-8")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="./dev bench",
        description="Ratios inside one run, each beside its ceiling (bench/README.md).",
    )
    parser.add_argument(
        "situations",
        nargs="*",
        metavar="SITUATION",
        type=_situation,
        help=f"default: all of {', '.join(situations.NAMES)}",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the samples")
    parser.add_argument(
        "--against",
        metavar="REVISION",
        help="measure a revision of the project and this checkout, in turn",
    )
    parser.add_argument("--rounds", type=_positive, metavar="N")
    parser.add_argument(
        "--workers",
        type=_positive,
        metavar="N",
        default=core_count(),
        help="default: cores",
    )
    parser.add_argument("--seed", type=int, default=1, help="order inside the rounds")
    parser.add_argument(
        "--quick", action="store_true", help="small sizes: does it run? not for claims"
    )
    parser.add_argument(
        "--record",
        action="store_true",
        help="replace the recorded instruction counts by those of this run",
    )
    parser.add_argument(
        "--quiet",
        action="store_true",
        help="measure a round again if other processes used the cores meanwhile",
    )
    return parser


def _situation(text: str) -> str:
    if text not in situations.NAMES:
        raise argparse.ArgumentTypeError(
            f"no situation {text!r}; choose from {', '.join(situations.NAMES)}"
        )
    return text


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more, got {text}")
    return number


def _fail(message: str, status: int) -> int:
    print(f"bench: {message}", file=sys.stderr)
    return status


def _is_interrupt(stop: BaseException) -> bool:
    if isinstance(stop, BaseExceptionGroup):
        return stop.subgroup(KeyboardInterrupt) is not None
    return isinstance(stop, KeyboardInterrupt)


def _run(name: str, settings: Settings) -> _Finding:
    """Run one situation and print what it found."""
    settings.neighbours.begin_situation()
    report = situations.load(name)(settings)
    print(f"\n{report.name}: {report.title}")
    for note in report.notes:
        print(f"  {note}")
    print(layout(report.table))
    neighbours = settings.neighbours
    print(f"  {neighbours.summary()}", flush=True)
    return _Finding(report, neighbours.cores_used, neighbours.repeated_count)


def _head(facts: Facts, settings: Settings) -> str:
    lines = [f"{key.replace('_', ' ')}: {value}" for key, value in facts.items()]
    lines.append(f"seed: {settings.seed}")
    return "\n".join(lines)


def _must_show(found: list[_Finding], facts: Facts, settings: Settings) -> str:
    rows = [["must show", "target", "measured", "met"]] + [
        [t.situation, t.promise, t.measured, "yes" if t.is_met else "NO"]
        for finding in found
        for t in finding.report.targets
    ]
    text = "\n" + layout(rows)
    if settings.is_quick:
        text += "\nA quick run is not for claims."
    elif not is_claim_machine(facts):
        text += "\nThe targets were set for Python 3.13t with 2 workers on 2 cores."
    if any(is_disturbed(finding.others_used_cores) for finding in found):
        text += "\nOther processes used the cores: try again, or with --quiet."
    return text


def _as_json(facts: Facts, settings: Settings, found: list[_Finding]) -> str:
    document: dict[str, Any] = {
        "facts": facts,
        "seed": settings.seed,
        "is_quick": settings.is_quick,
        "situations": [asdict(finding) for finding in found],
    }
    return json.dumps(document, indent=1) + "\n"
