"""Work on objects that all jobs share: interpreters, each with its own, and threads.

Without a GIL too, threads that touch one object's reference count take turns; each
interpreter has a copy of its own. There are so many jobs that what a batch costs by
itself, up to a millisecond, does not hide that.
"""

import json
import re
from contextlib import AsyncExitStack
from functools import partial

import trio

from ..compare import ours_interpreters, ours_threads, serial
from ..harness import Settings, check_equal, interleave, timed
from ..report import Report, Samples, Target, ratio_table, ratio_target

__all__ = ("run",)

ROUNDS_PER_JOB = 3_000

_pattern = re.compile(r"(\w+)-(\d+)")
_table = {str(number): [number] for number in range(100)}
_keys = list(_table)


class _Account:
    def __init__(self) -> None:
        self.rate = 3

    def of(self, amount: int) -> int:
        return amount * self.rate


_account = _Account()
_record = json.dumps({"id": 1, "tags": ["a", "b"], "value": 0.5})


def formatting(seed: int) -> int:
    """Format short texts."""
    return sum(len(f"{seed}:{i:>8}") for i in range(ROUNDS_PER_JOB))


def regex(seed: int) -> int:
    """Match one compiled pattern."""
    match = _pattern.match
    return seed + sum(match("word-12") is not None for _ in range(ROUNDS_PER_JOB))


def table(seed: int) -> int:
    """Read one dictionary of lists."""
    return seed + sum(_table[_keys[i % 100]][0] for i in range(ROUNDS_PER_JOB))


def methods(seed: int) -> int:
    """Call the methods of one object."""
    return seed + sum(_account.of(i) for i in range(ROUNDS_PER_JOB))


def records(seed: int) -> int:
    """Parse and write JSON."""
    return seed + sum(
        len(json.dumps(json.loads(_record))) for _ in range(ROUNDS_PER_JOB // 8)
    )


WORK = (formatting, regex, table, methods, records)


def run(settings: Settings) -> Report:
    """Measure the situation."""
    job_count = 4 if settings.is_quick else 150
    samples: Samples = {}
    targets: list[Target] = []
    rows: list[list[str]] = []
    for work in WORK:
        found = trio.run(_measure, settings, work, job_count)
        head, *lines = ratio_table(
            found, unit="ms", units_per_second=1e3, columns={"speed-up": serial.NAME}
        )
        rows = rows or [head]
        rows += [[f"{work.__name__}, {line[0]}", *line[1:]] for line in lines]
        samples |= {f"{work.__name__}, {name}": found[name] for name in found}
        targets.append(
            ratio_target(
                f"{work.__name__} on interpreters",
                found,
                ours_interpreters.BATCH,
                serial.NAME,
                1.8,
                "{} x plain Python",
            )
        )
    return Report(
        name="interpreters_shared",
        title=f"{job_count} jobs on objects that all of them share",
        notes=[],
        table=rows,
        samples=samples,
        sample_unit="seconds",
        targets=targets,
    )


async def _measure(settings: Settings, work: object, job_count: int) -> Samples:
    assert callable(work)
    items = list(range(job_count))
    expected = [work(item) for item in items]
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        interpreters = await enter(ours_interpreters.open_peer(settings.worker_count))
        threads = await enter(ours_threads.open_peer(settings.worker_count))
        plain = await enter(serial.open_peer(settings.worker_count))
        runs = {
            serial.NAME: partial(plain.each, work, items),
            ours_threads.NAME: partial(threads.batch, work, items),
            ours_interpreters.BATCH: partial(interpreters.batch, work, items),
        }
        contenders = {
            name: partial(timed, run_once, check_equal(name, expected))
            for name, run_once in runs.items()
        }
        return await interleave(contenders, settings, rounds=7)
