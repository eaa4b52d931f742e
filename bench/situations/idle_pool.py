"""The processor time that an idle pool takes, right after it has run jobs.

User and system time of the whole process over five seconds in which only Trio's sleep
and the pool are there. The clock starts as soon as the last job is done.
"""

import gc
import time
from contextlib import AsyncExitStack
from functools import partial

import trio

from ..compare import ours, trio_inline
from ..compare.peer import PeerModule, open_all
from ..harness import Settings, check_equal, interleave
from ..quantiles import spread
from ..report import Report, Target
from ..work import echo

__all__ = ("run",)

OURS = "ours: idle pool"
ALONE = "Trio's sleep alone"
JOB_COUNT = 200  # arbitrary: enough to have had every worker awake


def run(settings: Settings) -> Report:
    """Measure the situation."""
    idle_seconds = 1.0 if settings.is_quick else 5.0
    contenders = {
        ALONE: partial(_cpu_seconds, trio_inline, settings.worker_count, idle_seconds),
        OURS: partial(_cpu_seconds, ours, settings.worker_count, idle_seconds),
    }
    samples = trio.run(
        partial(
            interleave,
            contenders,
            settings,
            rounds=3,
            has_warm_up=False,
        )
    )
    worst = max(samples[OURS])
    target = Target(
        "idle pool",
        f"0.00 s of CPU in {idle_seconds:.0f} s",
        f"{worst:.2f} s ({worst * 1e3:.1f} ms, the worst round)",
        round(worst, 2) == 0,
    )
    return Report(
        name="idle_pool",
        title=f"processor time of an idle pool over {idle_seconds:.0f} s",
        notes=[f"the pool has run {JOB_COUNT} jobs a moment before"],
        table=[["", "s", "ms", "p10-p90"]]
        + [_row(name, seconds) for name, seconds in samples.items()],
        samples=samples,
        sample_unit="seconds of processor time",
        targets=[target],
    )


def _row(name: str, seconds: list[float]) -> list[str]:
    found = spread([second * 1e3 for second in seconds])
    return [
        name,
        f"{found.median / 1e3:.2f}",
        f"{found.median:.1f}",
        f"{found.p10:.1f}-{found.p90:.1f}",
    ]


async def _cpu_seconds(
    module: PeerModule, worker_count: int, idle_seconds: float
) -> float:
    async with AsyncExitStack() as stack:
        peers = await open_all(stack, [module], worker_count)
        gc.collect()
        answers = await peers[module.NAME].each(echo, range(JOB_COUNT))
        before = time.process_time()
        await trio.sleep(idle_seconds)
        used = time.process_time() - before
    check_equal(module.NAME, list(range(JOB_COUNT)))(answers)
    return used
