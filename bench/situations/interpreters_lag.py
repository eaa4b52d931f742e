"""How late the Trio loop is while interpreters do what would stop it in a thread.

Two things hold up every thread of an interpreter: with a GIL, one long call of C; on
every build, the garbage collector, which on free-threaded builds stops the world, but
only that of its own interpreter. The jobs run as one call after another, by as many
tasks as there are workers.
"""

from functools import partial

import trio

import runtime

from ..harness import Settings, check_equal, interleave
from ..quantiles import quantile, spread
from ..report import Report, Target
from ..ticker import Lag, lag_during
from ..work import collect, sum_range

__all__ = ("run",)

LIMIT = 0.002
QUIET = "nobody busy"
JOBS = {
    "sum(range(3_000_000))": (sum_range, 3_000_000),
    "collect 1.5 million objects": (collect, 1_500_000),
}


def run(settings: Settings) -> Report:
    """Measure the situation."""
    busy_seconds = 0.3 if settings.is_quick else 1.5
    lags = trio.run(_measure, settings, busy_seconds)
    return Report(
        name="interpreters_lag",
        title="lag of the Trio loop, a tick every ms while interpreters are busy",
        notes=[f"{busy_seconds} s per row and round; all figures are ms"],
        table=[["", "p50", "p99", "p10-p90"]]
        + [_row(name, rounds) for name, rounds in lags.items()],
        samples={name: [lag.p99 for lag in rounds] for name, rounds in lags.items()},
        sample_unit="seconds, p99 of a round",
        targets=[_target(name, lags[name]) for name in JOBS],
    )


def _row(name: str, lags: list[Lag]) -> list[str]:
    p99 = spread([lag.p99 * 1e3 for lag in lags])
    return [
        name,
        f"{quantile([lag.p50 * 1e3 for lag in lags], 0.5):.2f}",
        f"{p99.median:.2f}",
        f"{p99.p10:.2f}-{p99.p90:.2f}",
    ]


def _target(name: str, lags: list[Lag]) -> Target:
    p99 = quantile([lag.p99 for lag in lags], 0.5)
    return Target(
        f"Trio loop lag beside {name}",
        f"p99 <= {LIMIT * 1e3:.0f} ms",
        f"{p99 * 1e3:.2f} ms",
        p99 <= LIMIT,
    )


async def _measure(settings: Settings, busy_seconds: float) -> dict[str, list[Lag]]:
    async with runtime.open_worker_pool(
        settings.worker_count, backend="interpreters"
    ) as pool:
        nothing: set[int] = set()
        contenders = {
            QUIET: partial(
                lag_during,
                partial(_keep_busy, pool, busy_seconds, None),
                check_equal(QUIET, nothing),
            )
        }
        for name, (fn, size) in JOBS.items():
            contenders[name] = partial(
                lag_during,
                partial(_keep_busy, pool, busy_seconds, (fn, size)),
                check_equal(name, {fn(size)}),
            )
        return await interleave(contenders, settings, rounds=7)


async def _keep_busy(
    pool: runtime.WorkerPool, seconds: float, job: tuple[object, int] | None
) -> set[int]:
    """Run a job again and again on all workers; return the answers there were."""
    answers: set[int] = set()
    end = trio.current_time() + seconds

    async def caller(fn: object, size: int) -> None:
        assert callable(fn)
        while trio.current_time() < end:
            answers.add(await pool.spawn_cpu_work(fn, size))

    async with trio.open_nursery() as nursery:
        if job is None:
            await trio.sleep(seconds)
            return answers
        for _ in range(pool.worker_count):
            nursery.start_soon(caller, *job)
    return answers
