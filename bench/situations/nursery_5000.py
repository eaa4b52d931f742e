"""A nursery of 5,000 calls, made at once, of a function that gives its item back."""

from contextlib import AsyncExitStack
from functools import partial
from sys import version_info

import trio

from ..compare import (
    anyio_process,
    ours,
    thread_pool,
    trio_inline,
    trio_parallel,
    trio_thread,
)
from ..compare.peer import open_all
from ..harness import Settings, check_equal, interleave, timed
from ..machine import is_native
from ..report import Report, Samples, ratio_table, ratio_target
from ..work import echo

__all__ = ("run",)

PEERS = (trio_inline, thread_pool, trio_thread, trio_parallel, anyio_process, ours)


def run(settings: Settings) -> Report:
    """Measure the situation."""
    call_count = 500 if settings.is_quick else 5_000
    samples = trio.run(_measure, settings, call_count)
    target = ratio_target(
        "nursery of 5,000 calls",
        samples,
        ours.NAME,
        than=trio_thread.NAME,
        at_least=_target(),
        words="{} x the throughput of trio.to_thread",
    )
    return Report(
        name="nursery_5000",
        title=f"a nursery of {call_count:,} calls that only give back their item",
        notes=[
            "one Trio task per call; us is per call",
            "ThreadPoolExecutor has no tasks and blocks the Trio loop while it waits",
        ],
        table=ratio_table(
            samples,
            unit="us",
            units_per_second=1e6 / call_count,
            columns={"x trio.to_thread": trio_thread.NAME},
        ),
        samples=samples,
        sample_unit=f"seconds for {call_count} calls",
        targets=[target],
    )


def _target() -> float:
    if not is_native():
        return 3.0
    return 4.0 if version_info < (3, 14) else 5.0


async def _measure(settings: Settings, call_count: int) -> Samples:
    items = range(call_count)
    async with AsyncExitStack() as stack:
        peers = await open_all(stack, PEERS, settings.worker_count)
        contenders = {
            name: partial(
                timed, partial(peer.each, echo, items), check_equal(name, list(items))
            )
            for name, peer in peers.items()
        }
        return await interleave(contenders, settings, rounds=11)
