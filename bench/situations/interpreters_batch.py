"""A batch of 100,000 tiny items on interpreters, against a pool of processes.

The processes get the chunk size that was best for them, tried beforehand.
"""

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import AsyncExitStack
from functools import partial
from multiprocessing import get_context
from time import perf_counter

import trio

from ..compare import ours_interpreters, serial
from ..harness import Settings, check_equal, interleave, timed
from ..report import Report, Samples, ratio_table, ratio_target
from ..work import tiny

__all__ = ("run",)

PROCESSES = "ProcessPoolExecutor.map, best chunks"
CHUNK_SIZES = (500, 2_000, 10_000, 50_000)


def run(settings: Settings) -> Report:
    """Measure the situation."""
    item_count = 2_000 if settings.is_quick else 100_000
    samples = trio.run(_measure, settings, item_count)
    return Report(
        name="interpreters_batch",
        title=f"a batch of {item_count} items of about a microsecond",
        notes=[],
        table=ratio_table(
            samples,
            unit="ms",
            units_per_second=1e3,
            columns={"speed-up": serial.NAME, "x processes": PROCESSES},
        ),
        samples=samples,
        sample_unit="seconds",
        targets=[
            ratio_target(
                "100,000 tiny items on interpreters",
                samples,
                ours_interpreters.BATCH,
                PROCESSES,
                2.0,
                "{} x ProcessPoolExecutor.map",
            )
        ],
    )


async def _measure(settings: Settings, item_count: int) -> Samples:
    items = range(item_count)
    expected = [tiny(item) for item in items]
    with ProcessPoolExecutor(settings.worker_count, get_context("spawn")) as processes:
        async with AsyncExitStack() as stack:
            pool = await stack.enter_async_context(
                ours_interpreters.open_peer(settings.worker_count)
            )
            plain = await stack.enter_async_context(
                serial.open_peer(settings.worker_count)
            )
            best = min(CHUNK_SIZES, key=partial(_time_chunks, processes, items))
            runs = {
                serial.NAME: partial(plain.each, tiny, items),
                PROCESSES: partial(_in_processes, processes, items, best),
                ours_interpreters.BATCH: partial(pool.batch, tiny, items),
            }
            contenders = {
                name: partial(timed, run_once, check_equal(name, expected))
                for name, run_once in runs.items()
            }
            return await interleave(contenders, settings, rounds=11)


async def _in_processes(
    processes: ProcessPoolExecutor, items: Sequence[int], chunk_size: int
) -> list[int]:
    return list(processes.map(tiny, items, chunksize=chunk_size))


def _time_chunks(
    processes: ProcessPoolExecutor, items: Sequence[int], chunk_size: int
) -> float:
    list(processes.map(tiny, items, chunksize=chunk_size))  # warm
    begin = perf_counter()
    list(processes.map(tiny, items, chunksize=chunk_size))
    return perf_counter() - begin
