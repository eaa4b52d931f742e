"""400 jobs of 0.6 ms of integer work on locals: what a pool is for.

The jobs are all equal, so the hand-cut ceiling is an even cut. Ours runs them in both
ways a user would: one `spawn_cpu_work` each in a nursery, and one
`spawn_parallel_batch`. Both are judged: the batch is what someone with 400 jobs in hand
would write, the nursery is what `trio.to_thread` is given.
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
from ..harness import Settings, check_equal, interleave, timed
from ..machine import is_native
from ..report import Report, Samples, Target, ratio_table, ratio_target
from ..work import spin

__all__ = ("run",)

PEERS = (serial, bare_threads, thread_pool, trio_thread, trio_parallel, anyio_process)
JOB_SECONDS = 0.0006
VARIANTS = 7  # arbitrary; loop counts differ by a few so that a wrong order shows


def run(settings: Settings) -> Report:
    """Measure the situation."""
    job_count = 60 if settings.is_quick else 400
    samples = trio.run(_measure, settings, job_count)
    return Report(
        name="jobs_0_6ms",
        title=f"{job_count} jobs of 0.6 ms of integer work on locals",
        notes=[
            f"one job took {min(samples[serial.NAME]) / job_count * 1e3:.2f} ms"
            " in plain Python, at best",
            f"{ours.NAME} is one Trio task per job, in a nursery",
        ],
        table=ratio_table(
            samples,
            unit="ms",
            units_per_second=1e3,
            columns={"speed-up": serial.NAME, "of ceiling": bare_threads.NAME},
        ),
        samples=samples,
        sample_unit="seconds",
        targets=[
            *_targets("400 jobs of 0.6 ms, batch", samples, ours.BATCH),
            *_targets("400 jobs of 0.6 ms, nursery", samples, ours.NAME),
        ],
    )


def _targets(situation: str, samples: Samples, who: str) -> list[Target]:
    target = partial(ratio_target, situation, samples, who)
    return [
        target(bare_threads.NAME, 0.97 if is_native() else 0.95, "{} of the ceiling"),
        target(trio_thread.NAME, 1.0, "ahead of trio.to_thread ({} x)"),
        target(thread_pool.NAME, 1.0, "ahead of ThreadPoolExecutor ({} x)"),
    ]


async def _measure(settings: Settings, job_count: int) -> Samples:
    loops = loops_for(JOB_SECONDS)
    items = [loops + index % VARIANTS for index in range(job_count)]
    expected = [spin(item) for item in items]
    async with AsyncExitStack() as stack:
        peers = await open_all(stack, PEERS, settings.worker_count)
        pool = await stack.enter_async_context(ours.open_peer(settings.worker_count))
        runs = {name: partial(peer.each, spin, items) for name, peer in peers.items()}
        runs[ours.NAME] = partial(pool.each, spin, items)
        runs[ours.BATCH] = partial(pool.batch, spin, items)
        contenders = {
            name: partial(timed, run_once, check_equal(name, expected))
            for name, run_once in runs.items()
        }
        return await interleave(contenders, settings, rounds=21)
