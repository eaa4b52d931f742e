"""The nearest relative: hypertile 0.1.2, on its own ground, asyncio.

Each side does three things in the way of its own event loop: calls one after another,
many calls at once, and one batch. Hypertile exists for Python 3.14 only.
"""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial

import trio

from ..compare import hypertile_asyncio, ours
from ..harness import Settings, check_equal, interleave, timed
from ..quantiles import paired_ratios, quantile, spread
from ..report import Report, Samples, ratio_target
from ..work import echo

__all__ = ("run",)

ROUND_TRIP, FAN_OUT, BATCH = "round trip", "fan-out", "batch"
HOW_MANY = {ROUND_TRIP: 300, FAN_OUT: 2_000, BATCH: 20_000}
OURS = "ours"


def run(settings: Settings) -> Report:
    """Measure the situation."""
    title = "hypertile 0.1.2 under asyncio, against ours under Trio"
    if not hypertile_asyncio.is_installed():
        return Report(
            name="hypertile",
            title=title,
            notes=["not measured: hypertile is not installed; it needs Python 3.14"],
            table=[["", "us"]],
            samples={},
            sample_unit="seconds",
        )
    samples = trio.run(_measure, settings)
    return Report(
        name="hypertile",
        title=title,
        notes=["calls that only give back their item; us is per call"],
        table=_table(samples, settings),
        samples=samples,
        sample_unit="seconds",
        targets=[
            ratio_target(
                f"hypertile, {case}",
                samples,
                _key(OURS, case),
                than=_key(hypertile_asyncio.NAME, case),
                at_least=1.0,
                words="ahead of it ({} x)",
            )
            for case in HOW_MANY
        ],
    )


def _key(who: str, case: str) -> str:
    return f"{who}, {case}"


def _count(case: str, settings: Settings) -> int:
    return HOW_MANY[case] // (10 if settings.is_quick else 1)


def _table(samples: Samples, settings: Settings) -> list[list[str]]:
    rows = [["", "ours us", "hypertile us", "x hypertile", "p10-p90"]]
    for case in HOW_MANY:
        seconds = [samples[_key(who, case)] for who in (OURS, hypertile_asyncio.NAME)]
        ratio = spread(paired_ratios(seconds[1], seconds[0]))
        scale = 1e6 / _count(case, settings)
        rows.append(
            [
                case,
                *(f"{quantile(figures, 0.5) * scale:.1f}" for figures in seconds),
                f"{ratio.median:.2f}",
                f"{ratio.p10:.2f}-{ratio.p90:.2f}",
            ]
        )
    return rows


async def _measure(settings: Settings) -> Samples:
    async with AsyncExitStack() as stack:
        peer = stack.enter_context(hypertile_asyncio.open_peer(settings.worker_count))
        pool = await stack.enter_async_context(ours.open_peer(settings.worker_count))
        contenders: dict[str, Callable[[], Awaitable[float]]] = {}
        for case in HOW_MANY:
            items = range(_count(case, settings))
            runs = {
                OURS: {
                    ROUND_TRIP: partial(_one_by_one, pool, items),
                    FAN_OUT: partial(pool.each, echo, items),
                    BATCH: partial(pool.batch, echo, items),
                },
                hypertile_asyncio.NAME: {
                    ROUND_TRIP: partial(peer.one_by_one, echo, items),
                    FAN_OUT: partial(peer.each, echo, items),
                    BATCH: partial(peer.batch, echo, items),
                },
            }
            for who, cases in runs.items():
                check = check_equal(who, list(items))
                contenders[_key(who, case)] = partial(timed, cases[case], check)
        return await interleave(contenders, settings, rounds=15)


async def _one_by_one(pool: ours.OurPool, items: range) -> list[int]:
    return [await pool.call(echo, item) for item in items]
