"""400 jobs of 0.6 ms of integer work, on interpreters: the gain there is with a GIL.

The ceiling is two interpreters that are handed their halves, through pipes.
"""

from contextlib import AsyncExitStack
from functools import partial

import trio

from ..calibrate import loops_for
from ..compare import bare_interpreters, ours_interpreters, serial
from ..compare.peer import open_all
from ..harness import Settings, check_equal, interleave, timed
from ..report import Report, Samples, ratio_table, ratio_target
from ..work import spin

__all__ = ("run",)

PEERS = (serial, bare_interpreters)
JOB_SECONDS = 0.0006
VARIANTS = 7  # arbitrary; loop counts differ by a few so that a wrong order shows


def run(settings: Settings) -> Report:
    """Measure the situation."""
    job_count = 60 if settings.is_quick else 400
    samples = trio.run(_measure, settings, job_count)
    target = partial(
        ratio_target, "400 jobs on interpreters", samples, ours_interpreters.BATCH
    )
    return Report(
        name="interpreters_jobs",
        title=f"{job_count} jobs of 0.6 ms on interpreters",
        notes=[],
        table=ratio_table(
            samples,
            unit="ms",
            units_per_second=1e3,
            columns={"speed-up": serial.NAME, "of ceiling": bare_interpreters.NAME},
        ),
        samples=samples,
        sample_unit="seconds",
        targets=[
            target(bare_interpreters.NAME, 0.95, "{} of the ceiling"),
            target(serial.NAME, 1.7, "{} x plain Python"),
        ],
    )


async def _measure(settings: Settings, job_count: int) -> Samples:
    loops = loops_for(JOB_SECONDS)
    items = [loops + index % VARIANTS for index in range(job_count)]
    expected = [spin(item) for item in items]
    async with AsyncExitStack() as stack:
        peers = await open_all(stack, PEERS, settings.worker_count)
        pool = await stack.enter_async_context(
            ours_interpreters.open_peer(settings.worker_count)
        )
        runs = {name: partial(peer.each, spin, items) for name, peer in peers.items()}
        runs[ours_interpreters.NAME] = partial(pool.each, spin, items)
        runs[ours_interpreters.BATCH] = partial(pool.batch, spin, items)
        contenders = {
            name: partial(timed, run_once, check_equal(name, expected))
            for name, run_once in runs.items()
        }
        return await interleave(contenders, settings, rounds=15)
