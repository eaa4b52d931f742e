"""400 jobs of very unequal length; the longest is 5 % of the whole.

Two ceilings: the *best cut* knows every length beforehand and gives each thread the
same amount of work; the *even cut* knows nothing and gives each thread as many jobs. No
scheduler can beat the first; the distance to the second is what scheduling is worth.
"""

from contextlib import AsyncExitStack
from functools import partial

import trio

from ..calibrate import loops_for
from ..compare import (
    anyio_process,
    bare_threads,
    ours,
    serial,
    thread_pool,
    trio_parallel,
    trio_thread,
)
from ..compare.peer import open_all
from ..cut import best_cut
from ..harness import Settings, check_equal, interleave, timed
from ..lengths import LARGEST_SHARE, heavy_tail_shares
from ..report import Report, Samples, Target, ratio_table, ratio_target
from ..work import spin

__all__ = ("run",)

PEERS = (serial, thread_pool, trio_thread, trio_parallel, anyio_process)
BEST_CUT = "bare threads, best cut (ceiling)"
EVEN_CUT = "bare threads, even cut"
TOTAL_SECONDS = 0.24  # as much as 400 jobs of 0.6 ms


def run(settings: Settings) -> Report:
    """Measure the situation."""
    job_count = 400
    samples = trio.run(_measure, settings, job_count)
    return Report(
        name="heavy_tail",
        title=f"{job_count} unequal jobs, the longest is {LARGEST_SHARE:.0%} of all",
        notes=[f"{ours.NAME} is one Trio task per job, in a nursery"],
        table=ratio_table(
            samples,
            unit="ms",
            units_per_second=1e3,
            columns={"speed-up": serial.NAME, "of ceiling": BEST_CUT},
        ),
        samples=samples,
        sample_unit="seconds",
        targets=[
            _target("heavy tail, batch", samples, ours.BATCH),
            _target("heavy tail, nursery", samples, ours.NAME),
        ],
    )


def _target(situation: str, samples: Samples, who: str) -> Target:
    return ratio_target(
        situation,
        samples,
        who,
        than=BEST_CUT,
        at_least=0.90,
        words="{} of the ceiling with the best cut",
    )


async def _measure(settings: Settings, job_count: int) -> Samples:
    total_seconds = TOTAL_SECONDS / 10 if settings.is_quick else TOTAL_SECONDS
    total_loops = loops_for(total_seconds)
    items = [max(1, round(total_loops * s)) for s in heavy_tail_shares(job_count)]
    expected = [spin(item) for item in items]
    cut = best_cut(items, settings.worker_count)
    async with AsyncExitStack() as stack:
        peers = await open_all(stack, PEERS, settings.worker_count)
        threads = await stack.enter_async_context(
            bare_threads.open_peer(settings.worker_count)
        )
        pool = await stack.enter_async_context(ours.open_peer(settings.worker_count))
        runs = {name: partial(peer.each, spin, items) for name, peer in peers.items()}
        runs[EVEN_CUT] = partial(threads.each, spin, items)
        runs[BEST_CUT] = partial(threads.each_of_cut, spin, items, cut)
        runs[ours.NAME] = partial(pool.each, spin, items)
        runs[ours.BATCH] = partial(pool.batch, spin, items)
        contenders = {
            name: partial(timed, run_once, check_equal(name, expected))
            for name, run_once in runs.items()
        }
        return await interleave(contenders, settings, rounds=21)
