"""One call's round trip: a Trio task calls a function that gives its item back.

Calls follow each other without a pause, so the workers of every peer are warm.
"""

from contextlib import AsyncExitStack
from functools import partial

import trio

from ..compare import (
    anyio_process,
    ours,
    thread_pool,
    trio_inline,
    trio_parallel,
    trio_thread,
)
from ..compare.peer import Peer, open_all
from ..harness import Settings, check_equal, interleave, timed
from ..machine import is_native
from ..report import Report, Samples, ratio_table, ratio_target
from ..work import echo

__all__ = ("run",)

PEERS = (trio_inline, thread_pool, trio_thread, trio_parallel, anyio_process, ours)


def run(settings: Settings) -> Report:
    """Measure the situation."""
    call_count = 30 if settings.is_quick else 300
    samples = trio.run(_measure, settings, call_count)
    target = ratio_target(
        "one call's round trip",
        samples,
        ours.NAME,
        than=trio_thread.NAME,
        at_least=4.0 if is_native() else 2.0,
        words="{} x as fast as trio.to_thread",
    )
    return Report(
        name="round_trip",
        title="one call's round trip from a Trio task, of a function that does nothing",
        notes=[
            f"{call_count} calls, one after another, per round; us is per call",
            "ThreadPoolExecutor blocks the Trio loop while it waits",
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


async def _measure(settings: Settings, call_count: int) -> Samples:
    async with AsyncExitStack() as stack:
        peers = await open_all(stack, PEERS, settings.worker_count)
        contenders = {
            name: partial(
                timed,
                partial(_call_often, peer, call_count),
                check_equal(name, list(range(call_count))),
            )
            for name, peer in peers.items()
        }
        return await interleave(contenders, settings, rounds=21)


async def _call_often(peer: Peer, call_count: int) -> list[int]:
    return [await peer.call(echo, index) for index in range(call_count)]
