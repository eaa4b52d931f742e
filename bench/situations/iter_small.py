"""Chains that are too short to gain, and one that ends early: what do they cost?

Everything runs inside a job, many times over: it is the chain that is measured, not
the way to the pool.
"""

import math
import time
from collections.abc import Callable
from functools import partial
from itertools import repeat
from typing import Any

import trio

import runtime

from ..chains import tenth, unit
from ..harness import Settings, WrongAnswerError, check_equal, interleave
from ..machine import is_native
from ..quantiles import paired_ratios, spread
from ..report import Report, Samples, Target, ratio_table

__all__ = ("run",)

OURS = "ours: par_iter"
SUM_MAP = "sum(map(fn, items))"
LOOP = "sum(fn(x) for x in items)"
FULL = "find_first, nothing there"
EARLY = "find_first in the first 1 %"
FOUND_AT = 0.01

SMALL = (
    ("1,000 items of 1 us", 1000, unit, 30),
    ("100 items of 0.1 us", 100, tenth, 500),
)
SCANNED = 200_000


def run(settings: Settings) -> Report:
    """Measure the situation."""
    samples: Samples = trio.run(_measure, settings)
    table: list[list[str]] = []
    targets = []
    for name, *_ in SMALL:
        found = {who: s for who, s in samples.items() if who.startswith(name)}
        loop = f"{name}: {LOOP}"
        rows = ratio_table(
            found, unit="us", units_per_second=1e6, columns={"speed-up": loop}
        )
        table += rows if not table else rows[1:]
        ratio = spread(paired_ratios(found[f"{name}: {OURS}"], found[loop])).median
        targets.append(
            Target(
                name, "<= 1.05 x the time of the loop", f"{ratio:.2f}", ratio <= 1.05
            )
        )
    ratio = spread(paired_ratios(samples[EARLY], samples[FULL])).median
    targets.append(
        Target(EARLY, "< 5 % of the full scan", f"{ratio:.1%}", ratio < 0.05)
    )
    found = {FULL: samples[FULL], EARLY: samples[EARLY]}
    table += ratio_table(
        found, unit="us", units_per_second=1e6, columns={"speed-up": FULL}
    )[1:]
    return Report(
        name="iter_small",
        title="chains that are short, or end early",
        notes=["inside a job, per chain"],
        table=table,
        samples=samples,
        sample_unit="seconds",
        targets=targets if is_native() else [],
    )


async def _measure(settings: Settings) -> Samples:
    async with runtime.open_worker_pool(
        settings.worker_count, backend="threads"
    ) as pool:
        contenders: dict[str, Callable[[], Any]] = {}
        for name, count, fn, times in SMALL:
            items = range(count)
            await pool.spawn_cpu_work(_check_chain, fn, items)
            for who, once in (
                (OURS, partial(_chain, fn, items)),
                (SUM_MAP, partial(_sum_map, fn, items)),
                (LOOP, partial(_loop, fn, items)),
            ):
                contenders[f"{name}: {who}"] = partial(
                    pool.spawn_cpu_work, _seconds, once, times
                )
        for who, found_at in ((FULL, SCANNED), (EARLY, int(SCANNED * FOUND_AT))):
            contenders[who] = partial(
                pool.spawn_cpu_work, _seconds, partial(_find, found_at), 1
            )
        return await interleave(contenders, settings, rounds=15)


def _seconds(once: Callable[[], object], times: int) -> float:
    """Return the seconds of one call, as the mean of many."""
    once()
    start_ns = time.perf_counter_ns()
    for _ in repeat(None, times):
        once()
    return (time.perf_counter_ns() - start_ns) / 1e9 / times


def _chain(fn: Callable[[Any], Any], items: range) -> Any:
    return runtime.par_iter(items).map(fn).sum()


def _check_chain(fn: Callable[[Any], Any], items: range) -> None:
    """Compare with plain Python, floats but for their last bits."""
    answer, expected = _chain(fn, items), _loop(fn, items)
    if not math.isclose(answer, expected, rel_tol=1e-12):
        raise WrongAnswerError(f"{OURS} gave a wrong answer")


def _sum_map(fn: Callable[[Any], Any], items: range) -> Any:
    return sum(map(fn, items))


def _loop(fn: Callable[[Any], Any], items: range) -> Any:
    return sum(fn(item) for item in items)


def _find(found_at: int) -> None:
    found = runtime.par_iter(range(SCANNED)).find_first(found_at.__eq__)
    check_equal(EARLY, found_at if found_at < SCANNED else None)(found)
