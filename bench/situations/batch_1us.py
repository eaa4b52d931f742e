"""A batch of a million items of about one microsecond, from a `range`.

Ours is handed the items and cuts them itself. The peers would drown in a call per item,
so each gets the batch cut by hand into ranges, with the number of ranges that was
fastest for it before the first round.
"""

import time
from contextlib import AsyncExitStack
from functools import partial
from itertools import chain

import trio

from ..compare import (
    anyio_process,
    bare_threads,
    ours,
    serial,
    thread_pool,
    trio_parallel,
    trio_thread,
)
from ..compare.peer import Peer, open_all
from ..cut import even_ranges
from ..harness import Settings, check_equal, interleave, timed
from ..report import Report, Samples, ratio_table, ratio_target
from ..work import tiny, tiny_range

__all__ = ("run",)

CUT_INTO_ITEMS = (serial, bare_threads)
CUT_BY_HAND = (thread_pool, trio_thread, trio_parallel, anyio_process)
PIECES_PER_WORKER = (1, 4, 16, 64)  # arbitrary; what the peers may choose from


def run(settings: Settings) -> Report:
    """Measure the situation."""
    item_count = 50_000 if settings.is_quick else 1_000_000
    samples = trio.run(_measure, settings, item_count)
    item_seconds = min(samples[serial.NAME]) / item_count
    target = ratio_target(
        "batch of 1 us items",
        samples,
        ours.BATCH,
        than=bare_threads.NAME,
        at_least=0.90,
        words="{} of the ceiling",
    )
    return Report(
        name="batch_1us",
        title=f"a batch of {item_count:,} items of about 1 us from range",
        notes=[
            f"one item took {item_seconds * 1e6:.2f} us in plain Python, at best",
            "peers run ranges cut by hand, as many as was fastest for each",
        ],
        table=ratio_table(
            samples,
            unit="ms",
            units_per_second=1e3,
            columns={"speed-up": serial.NAME, "of ceiling": bare_threads.NAME},
        ),
        samples=samples,
        sample_unit="seconds",
        targets=[target],
    )


async def _measure(settings: Settings, item_count: int) -> Samples:
    items = range(item_count)
    worker_count = settings.worker_count
    async with AsyncExitStack() as stack:
        runs = {
            name: partial(peer.each, tiny, items)
            for name, peer in (
                await open_all(stack, CUT_INTO_ITEMS, worker_count)
            ).items()
        }
        for name, peer in (await open_all(stack, CUT_BY_HAND, worker_count)).items():
            piece_count = await _best_piece_count(peer, items, worker_count)
            runs[f"{name}, {piece_count} ranges"] = partial(
                _run_pieces, peer, items, piece_count
            )
        pool = await stack.enter_async_context(ours.open_peer(worker_count))
        runs[ours.BATCH] = partial(pool.batch, tiny, items)
        expected = tiny_range(items)
        contenders = {
            name: partial(timed, run_once, check_equal(name, expected))
            for name, run_once in runs.items()
        }
        return await interleave(contenders, settings, rounds=11)


async def _best_piece_count(peer: Peer, items: range, worker_count: int) -> int:
    choices = [worker_count * factor for factor in PIECES_PER_WORKER]
    await _run_pieces(peer, items, choices[0])  # warms the peer up
    seconds = {}
    for choice in choices:
        start = time.perf_counter()
        await _run_pieces(peer, items, choice)
        seconds[choice] = time.perf_counter() - start
    return min(seconds, key=seconds.__getitem__)


async def _run_pieces(peer: Peer, items: range, piece_count: int) -> list[int]:
    pieces = await peer.each(tiny_range, even_ranges(len(items), piece_count))
    return list(chain.from_iterable(pieces))
