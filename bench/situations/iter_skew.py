"""Chains over very unequal items, against the best cut that anybody could make.

The cut is made with every cost known (`cut.best_cut`); a chain knows none.
"""

from contextlib import AsyncExitStack
from functools import partial

import trio

import runtime

from ..calibrate import loops_for
from ..chains import skewed_workloads
from ..compare import bare_threads, serial
from ..cut import best_cut
from ..harness import Settings, check_equal, interleave, timed
from ..machine import is_native
from ..pin import pin_thread, pin_workers
from ..report import Report, Samples, ratio_table, ratio_target
from ..work import spin

__all__ = ("run",)

OURS = "ours: par_iter"
BEST = "bare threads, best cut (ceiling)"
TOTAL_SECONDS = 0.15


def run(settings: Settings) -> Report:
    """Measure the situation."""
    seconds = TOTAL_SECONDS / 10 if settings.is_quick else TOTAL_SECONDS
    samples: Samples = {}
    table: list[list[str]] = []
    targets = []
    for workload in skewed_workloads(loops_for(seconds)):
        found = trio.run(_measure, settings, list(workload.items))
        found = {f"{workload.name}: {who}": s for who, s in found.items()}
        rows = ratio_table(
            found,
            unit="ms",
            units_per_second=1e3,
            columns={
                "speed-up": f"{workload.name}: {serial.NAME}",
                "of ceiling": f"{workload.name}: {BEST}",
            },
        )
        table += rows if not table else rows[1:]
        samples |= found
        targets.append(
            ratio_target(
                workload.name,
                found,
                f"{workload.name}: {OURS}",
                than=f"{workload.name}: {BEST}",
                at_least=0.95,
                words="{} of the best cut",
            )
        )
    return Report(
        name="iter_skew",
        title="chains over 400 items of very unequal cost",
        notes=[],
        table=table,
        samples=samples,
        sample_unit="seconds",
        targets=targets if is_native() else [],
    )


async def _measure(settings: Settings, items: list[int]) -> Samples:
    cut = best_cut(items, settings.worker_count)
    expected = [spin(item) for item in items]
    async with AsyncExitStack() as stack:
        threads = await stack.enter_async_context(
            bare_threads.open_peer(settings.worker_count)
        )
        plain = await stack.enter_async_context(serial.open_peer(1))
        pool = await stack.enter_async_context(
            runtime.open_worker_pool(settings.worker_count, backend="threads")
        )
        await pin_workers(pool)
        await threads.each(pin_thread, range(settings.worker_count))
        runs = {
            serial.NAME: partial(plain.each, spin, items),
            BEST: partial(threads.each_of_cut, spin, items, cut),
            OURS: partial(_ours, pool, items),
        }
        contenders = {
            name: partial(timed, run_once, check_equal(name, expected))
            for name, run_once in runs.items()
        }
        return await interleave(contenders, settings, rounds=11)


async def _ours(pool: runtime.WorkerPool, items: list[int]) -> list[int]:
    return await pool.par_iter(items).map(spin).collect()
