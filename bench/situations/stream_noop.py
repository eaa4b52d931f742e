"""A stream of no-op requests: what one request costs on its way.

Each of ours pulls from a `range` and hands every outcome to the consumer by a step of
its own. `trio.to_thread` is called once per request by 64 tasks that take from the same
source.
"""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial

import trio

from ..compare import our_stream, trio_thread
from ..compare.our_stream import open_stream
from ..harness import Settings, check_equal, interleave, timed
from ..quantiles import paired_ratios, spread
from ..report import Report, Samples, Target, ratio_table, ratio_target
from ..work import echo

__all__ = ("run",)

CALLERS = 64  # arbitrary
AT_LEAST = 30_000
BATCH = "ours: execute_parallel_batch"
AT_MOST_COST = 1.02


def run(settings: Settings) -> Report:
    """Measure the situation."""
    count = 1_000 if settings.is_quick else 10_000
    samples = trio.run(_measure, settings, count)
    return Report(
        name="stream_noop",
        title=f"{count:,} no-op requests, batch_size=10",
        notes=["the first column is for all requests; the targets are per second"],
        table=ratio_table(
            samples,
            unit="ms",
            units_per_second=1e3,
            columns={"x trio.to_thread": trio_thread.NAME},
        ),
        samples=samples,
        sample_unit="seconds",
        targets=[
            _rate_target(samples, count),
            ratio_target(
                "stream of no-ops",
                samples,
                our_stream.NAME,
                trio_thread.NAME,
                2.5,
                "{} x trio.to_thread",
            ),
            _statistics_target(samples),
        ],
    )


def _rate_target(samples: Samples, count: int) -> Target:
    rate = spread([count / seconds for seconds in samples[our_stream.NAME]])
    return Target(
        "stream of no-ops",
        f"{AT_LEAST:,} requests/s",
        f"{rate.median:,.0f} ({rate.p10:,.0f}-{rate.p90:,.0f})",
        rate.median >= AT_LEAST,
    )


def _statistics_target(samples: Samples) -> Target:
    with_them, without = (
        samples[our_stream.NAME],
        samples[our_stream.NO_STATISTICS],
    )
    cost = spread(paired_ratios(with_them, without))
    return Target(
        "statistics of a stream of no-ops",
        f"at most {AT_MOST_COST} x the time without",
        f"{cost.median:.2f} ({cost.p10:.2f}-{cost.p90:.2f})",
        cost.median <= AT_MOST_COST,
    )


async def _measure(settings: Settings, count: int) -> Samples:
    items = range(count)
    expected = list(items)
    workers = settings.worker_count
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        plain = await enter(open_stream(echo, workers))
        bare = await enter(open_stream(echo, workers, enable_statistics=False))
        peer = await enter(trio_thread.open_peer(workers))

        async def in_threads() -> list[int]:
            answers = [-1] * count
            positions = iter(items)

            async def caller() -> None:
                for position in positions:
                    answers[position] = await peer.call(echo, position)

            async with trio.open_nursery() as nursery:
                for _ in range(CALLERS):
                    nursery.start_soon(caller)
            return answers

        runs: dict[str, Callable[[], Awaitable[list[int]]]] = {
            our_stream.NAME: partial(plain.each, items),
            our_stream.NO_STATISTICS: partial(bare.each, items),
            our_stream.UNORDERED: partial(plain.each_unordered, items),
            BATCH: partial(plain.gather, items),
            trio_thread.NAME: in_threads,
        }
        contenders = {
            name: partial(timed, run_once, check_equal(name, expected))
            for name, run_once in runs.items()
        }
        return await interleave(contenders, settings, rounds=15)
