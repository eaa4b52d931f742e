"""Requests of 0.5 ms through `process`: are the workers busy, and with what?

The ceiling is the same requests hand-cut into bare threads. Utilisation is what the
workers' counters say for the rounds of the stream alone. Batch efficiency is asked of
batches of ten requests of 0.1 ms: the handler's time, as the statistics have it, over
the batches' time on the workers.
"""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial

import trio

import runtime

from ..calibrate import loops_for
from ..compare import bare_threads, our_stream, serial
from ..compare.our_stream import OurStream, open_stream
from ..compare.peer import open_all
from ..harness import Settings, check_equal, interleave, timed
from ..quantiles import spread
from ..report import Report, Samples, Target, ratio_table, ratio_target
from ..work import spin

__all__ = ("run",)

REQUEST_SECONDS = 0.0005
SHORT_SECONDS = 0.0001
VARIANTS = 7  # arbitrary; loop counts differ by a few so that a wrong order shows


def run(settings: Settings) -> Report:
    """Measure the situation."""
    count = 160 if settings.is_quick else 1_600
    samples, utilization, efficiency = trio.run(_measure, settings, count)
    ceiling = partial(ratio_target, "requests of 0.5 ms", samples)
    return Report(
        name="stream_busy",
        title=f"{count} requests of 0.5 ms of integer work on locals",
        notes=["batch_size=10; efficiency is asked of requests of 0.1 ms"],
        table=ratio_table(
            samples,
            unit="ms",
            units_per_second=1e3,
            columns={"speed-up": serial.NAME, "of ceiling": bare_threads.NAME},
        ),
        samples=samples | {"utilization": utilization, "efficiency": efficiency},
        sample_unit="seconds; ratios for utilization and efficiency",
        targets=[
            ceiling(our_stream.NAME, bare_threads.NAME, 0.9, "{} of the ceiling"),
            _share_target("worker utilisation at saturation", utilization, 0.95),
            _share_target("batch efficiency, 10 x 0.1 ms", efficiency, 0.9),
        ],
    )


def _share_target(situation: str, shares: list[float], at_least: float) -> Target:
    share = spread(shares)
    return Target(
        situation,
        f"{at_least:.0%}",
        f"{share.median:.1%} ({share.p10:.1%}-{share.p90:.1%})",
        share.median >= at_least,
    )


async def _measure(
    settings: Settings, count: int
) -> tuple[Samples, list[float], list[float]]:
    loops = loops_for(REQUEST_SECONDS)
    items = [loops + index % VARIANTS for index in range(count)]
    short_loops = loops_for(SHORT_SECONDS)
    short_items = [short_loops + index % VARIANTS for index in range(5 * count)]
    expected = [spin(item) for item in items]
    short_expected = [spin(item) for item in short_items]
    utilization: list[float] = []
    efficiency: list[float] = []
    async with AsyncExitStack() as stack:
        workers = settings.worker_count
        peers = await open_all(stack, (serial, bare_threads), workers)
        stream = await stack.enter_async_context(open_stream(spin, workers))

        async def each() -> list[int]:
            before = stream.processor.statistics()
            answers = await stream.each(items)
            after = stream.processor.statistics()
            busy_ns = _busy_ns(after) - _busy_ns(before)
            elapsed_ns = after.elapsed_ns - before.elapsed_ns
            utilization.append(busy_ns / elapsed_ns / workers)
            return answers

        runs: dict[str, Callable[[], Awaitable[list[int]]]] = {
            name: partial(peer.each, spin, items) for name, peer in peers.items()
        }
        runs[our_stream.NAME] = each
        contenders = {
            name: partial(timed, run_once, check_equal(name, expected))
            for name, run_once in runs.items()
        }
        samples = await interleave(contenders, settings, rounds=15)
        for _ in range(settings.rounds_or(15)):
            share = await _efficiency(stream, short_items, short_expected)
            efficiency.append(share)
    return samples, utilization, efficiency


def _busy_ns(statistics: runtime.ProcessingStatistics) -> float:
    """Return the time all workers were inside jobs."""
    return sum(statistics.worker_utilization) * statistics.elapsed_ns


async def _efficiency(
    stream: OurStream, items: list[int], expected: list[int]
) -> float:
    """Return the share of the batches' time that the handler had."""
    before = stream.processor.statistics()
    check_equal(our_stream.NAME, expected)(await stream.each(items))
    after = stream.processor.statistics()
    return (after.useful_ns - before.useful_ns) / (after.batch_ns - before.batch_ns)
