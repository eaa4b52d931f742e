"""One call's round trip to an interpreter, against other ways to another GIL."""

from contextlib import AsyncExitStack
from functools import partial

import trio

from ..compare import (
    anyio_interpreter,
    anyio_process,
    ours_interpreters,
    trio_parallel,
)
from ..compare.peer import Peer, open_all
from ..harness import Settings, check_equal, interleave, timed
from ..report import Report, Samples, ratio_table, ratio_target
from ..work import echo

__all__ = ("run",)

PEERS = (anyio_interpreter, trio_parallel, anyio_process, ours_interpreters)


def run(settings: Settings) -> Report:
    """Measure the situation."""
    call_count = 30 if settings.is_quick else 200
    samples = trio.run(_measure, settings, call_count)
    target = partial(
        ratio_target, "a call to an interpreter", samples, ours_interpreters.NAME
    )
    return Report(
        name="interpreters_call",
        title="one call's round trip to another GIL, of a function that does nothing",
        notes=[f"{call_count} calls, one after another, per round; us is per call"],
        table=ratio_table(
            samples,
            unit="us",
            units_per_second=1e6 / call_count,
            columns={"x anyio.to_interpreter": anyio_interpreter.NAME},
        ),
        samples=samples,
        sample_unit=f"seconds for {call_count} calls",
        targets=[
            target(anyio_interpreter.NAME, 10.0, "{} x anyio.to_interpreter"),
            target(trio_parallel.NAME, 1.5, "{} x trio-parallel"),
            target(anyio_process.NAME, 1.5, "{} x anyio.to_process"),
        ],
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
        return await interleave(contenders, settings, rounds=15)


async def _call_often(peer: Peer, call_count: int) -> list[int]:
    return [await peer.call(echo, index) for index in range(call_count)]
