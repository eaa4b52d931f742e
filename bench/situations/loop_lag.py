"""How late the Trio loop is while all cores are busy.

A ticker wants to wake every millisecond; how late it wakes is the loop's lag. It shares
the cores with as many busy threads as there are workers, so some lag is the operating
system's doing. Hence the comparison: bare threads that run the same jobs, and never
touch Trio. Ours runs the jobs as one batch, which comes back to Trio once, as calls
of 64 tasks, which come back for every job of 0.6 ms, and as a stream of requests in
batches of ten. The worst of the three must show.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import trio

from ..calibrate import loops_for
from ..compare import bare_threads, our_stream, ours, trio_thread
from ..compare.peer import Peer
from ..harness import Settings, check_equal, interleave
from ..quantiles import paired_differences, quantile, spread
from ..report import Report, Target
from ..ticker import Lag, lag_during
from ..work import spin

__all__ = ("run",)

JOB_SECONDS = 0.0006
CALLERS = 64  # arbitrary; as many as `map` keeps in flight by default
LIMIT = 0.001
QUIET = "nobody busy"
THREADS = "bare threads"
OUR_CALLS = f"{ours.NAME}, {CALLERS} tasks"


def run(settings: Settings) -> Report:
    """Measure the situation."""
    busy_seconds = 0.3 if settings.is_quick else 1.5
    lags = trio.run(_measure, settings, busy_seconds)
    p99 = {name: [lag.p99 for lag in rounds] for name, rounds in lags.items()}
    return Report(
        name="loop_lag",
        title="lag of the Trio loop, a tick every ms while all cores are busy",
        notes=[f"{busy_seconds} s per contender and round; all figures are ms"],
        table=[["", "p50", "p99", "p10-p90", "p99 less bare threads", "p10-p90"]]
        + [_row(name, rounds, p99[THREADS]) for name, rounds in lags.items()],
        samples={
            f"{name}: {which}": [getattr(lag, which) for lag in rounds]
            for name, rounds in lags.items()
            for which in ("p50", "p99")
        },
        sample_unit="seconds",
        targets=[_target(p99)],
    )


def _row(name: str, lags: list[Lag], reference: list[float]) -> list[str]:
    p50 = spread([lag.p50 * 1e3 for lag in lags])
    p99 = spread([lag.p99 * 1e3 for lag in lags])
    more = spread(
        [d * 1e3 for d in paired_differences([lag.p99 for lag in lags], reference)]
    )
    return [
        name,
        f"{p50.median:.2f}",
        f"{p99.median:.2f}",
        f"{p99.p10:.2f}-{p99.p90:.2f}",
        f"{more.median:+.2f}",
        f"{more.p10:+.2f} to {more.p90:+.2f}",
    ]


def _target(p99: dict[str, list[float]]) -> Target:
    worst = max(
        quantile(paired_differences(p99[name], p99[THREADS]), 0.5)
        for name in (ours.BATCH, OUR_CALLS, our_stream.NAME)
    )
    return Target(
        "Trio loop lag, all cores busy",
        f"p99 <= {LIMIT * 1e3:.0f} ms more than with bare threads",
        f"{worst * 1e3:+.2f} ms (the worst of batch, calls and stream)",
        worst <= LIMIT,
    )


async def _measure(settings: Settings, busy_seconds: float) -> dict[str, list[Lag]]:
    job_count = round(settings.worker_count * busy_seconds / JOB_SECONDS)
    items = [loops_for(JOB_SECONDS)] * job_count
    expected = [spin(items[0])] * job_count
    async with AsyncExitStack() as stack:
        threads = await stack.enter_async_context(
            bare_threads.open_peer(settings.worker_count)
        )
        trio_peer = await stack.enter_async_context(
            trio_thread.open_peer(settings.worker_count)
        )
        pool = await stack.enter_async_context(ours.open_peer(settings.worker_count))
        stream = await stack.enter_async_context(
            our_stream.open_stream(spin, settings.worker_count)
        )
        busy: dict[str, Callable[[], Awaitable[list[int] | None]]] = {
            QUIET: partial(trio.sleep, busy_seconds),
            THREADS: partial(_run_in_threads, threads, items),
            f"{trio_thread.NAME}, {CALLERS} tasks": partial(
                _call_in_tasks, trio_peer, items
            ),
            ours.BATCH: partial(pool.batch, spin, items),
            OUR_CALLS: partial(_call_in_tasks, pool, items),
            our_stream.NAME: partial(stream.each, items),
        }
        contenders = {
            name: partial(
                lag_during, run, check_equal(name, None if name == QUIET else expected)
            )
            for name, run in busy.items()
        }
        return await interleave(contenders, settings, rounds=7)


async def _run_in_threads(
    threads: bare_threads.BareThreads, items: Sequence[int]
) -> list[int]:
    threads.begin(spin, items)
    return await trio.to_thread.run_sync(threads.wait)


async def _call_in_tasks(peer: Peer, items: Sequence[int]) -> list[int]:
    """Let some tasks make the calls, each one after another."""
    answers: list[Any] = [None] * len(items)
    positions = iter(range(len(items)))

    async def caller() -> None:
        for position in positions:
            answers[position] = await peer.call(spin, items[position])

    async with trio.open_nursery() as nursery:
        for _ in range(CALLERS):
            nursery.start_soon(caller)
    return answers
