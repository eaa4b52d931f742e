"""A batch of 100,000 tiny items on interpreters, against a pool of processes.

The processes get the chunk size that was best for them, tried beforehand. Of items that
do nothing, all that is measured is what it takes to send them and their results. Of
items of a microsecond most is the work, which nobody can do faster than the ceiling:
interpreters that are handed their halves, through pipes.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import AsyncExitStack
from functools import partial
from multiprocessing import get_context
from time import perf_counter

import trio

from ..compare import bare_interpreters, ours_interpreters, serial
from ..compare.peer import open_all
from ..harness import Settings, check_equal, interleave, timed
from ..report import Report, Samples, Target, ratio_table, ratio_target
from ..work import echo, tiny

__all__ = ("run",)

PROCESSES = "ProcessPoolExecutor.map, best chunks"
CHUNK_SIZES = (500, 2_000, 10_000, 50_000)
WORK = {"nothing": echo, "1 us": tiny}
PEERS = (serial, bare_interpreters)

type Work = Callable[[int], int]


def run(settings: Settings) -> Report:
    """Measure the situation."""
    item_count = 2_000 if settings.is_quick else 100_000
    rows: list[list[str]] = []
    found: dict[str, Samples] = {}
    for name, work in WORK.items():
        found[name] = trio.run(_measure, settings, work, item_count)
        head, *lines = ratio_table(
            found[name],
            unit="ms",
            units_per_second=1e3,
            columns={
                "speed-up": serial.NAME,
                "x processes": PROCESSES,
                "of ceiling": bare_interpreters.NAME,
            },
        )
        rows = rows or [head]
        rows += [[f"{name}: {line[0]}", *line[1:]] for line in lines]
    return Report(
        name="interpreters_batch",
        title=f"a batch of {item_count} tiny items: that do nothing, and of about a us",
        notes=[],
        table=rows,
        samples={
            f"{name}: {contender}": seconds
            for name, samples in found.items()
            for contender, seconds in samples.items()
        },
        sample_unit="seconds",
        targets=_targets(found),
    )


def _targets(found: dict[str, Samples]) -> list[Target]:
    ours = ours_interpreters.BATCH
    return [
        ratio_target(
            "100,000 items that do nothing",
            found["nothing"],
            ours,
            PROCESSES,
            2.0,
            "{} x ProcessPoolExecutor.map",
        ),
        ratio_target(
            "100,000 items of 1 us",
            found["1 us"],
            ours,
            bare_interpreters.NAME,
            0.95,
            "{} of the ceiling",
        ),
    ]


async def _measure(settings: Settings, work: Work, item_count: int) -> Samples:
    items = range(item_count)
    expected = [work(item) for item in items]
    with ProcessPoolExecutor(settings.worker_count, get_context("spawn")) as processes:
        async with AsyncExitStack() as stack:
            peers = await open_all(stack, PEERS, settings.worker_count)
            pool = await stack.enter_async_context(
                ours_interpreters.open_peer(settings.worker_count)
            )
            in_processes = partial(_in_processes, processes, work, items)
            best = min(CHUNK_SIZES, key=partial(_time_chunks, in_processes))
            runs = {
                name: partial(peer.each, work, items) for name, peer in peers.items()
            }
            runs[PROCESSES] = partial(_at_once, in_processes, best)
            runs[ours_interpreters.BATCH] = partial(pool.batch, work, items)
            contenders = {
                name: partial(timed, run_once, check_equal(name, expected))
                for name, run_once in runs.items()
            }
            return await interleave(contenders, settings, rounds=11)


def _in_processes(
    processes: ProcessPoolExecutor, work: Work, items: Sequence[int], chunk_size: int
) -> list[int]:
    return list(processes.map(work, items, chunksize=chunk_size))


async def _at_once(run: Callable[[int], list[int]], chunk_size: int) -> list[int]:
    return run(chunk_size)


def _time_chunks(run: Callable[[int], list[int]], chunk_size: int) -> float:
    run(chunk_size)  # warm
    begin = perf_counter()
    run(chunk_size)
    return perf_counter() - begin
