"""What it costs to get from a job back into Trio, from a thread and an interpreter."""

from contextlib import AsyncExitStack
from functools import partial

import trio

from ..compare import ours_interpreters, ours_threads
from ..harness import Settings, check_equal, interleave, timed
from ..report import Report, Samples, ratio_table, ratio_target
from ..work import ask_often, reply

__all__ = ("run",)

OF_TRIO = "trio.from_thread.run"
FROM_THREAD = "ours, threads: from_worker.run"
FROM_INTERPRETER = "ours, interpreters: from_worker.run"


def run(settings: Settings) -> Report:
    """Measure the situation."""
    count = 50 if settings.is_quick else 300
    samples = trio.run(_measure, settings, count)
    target = partial(ratio_target, "a way into Trio and back", samples)
    return Report(
        name="ask_trio",
        title="one call from a job into Trio and back, of a function that does nothing",
        notes=[f"{count} calls by one job, per round; us is per call"],
        table=ratio_table(
            samples,
            unit="us",
            units_per_second=1e6 / count,
            columns={"x trio.from_thread": OF_TRIO},
        ),
        samples=samples,
        sample_unit=f"seconds for {count} calls",
        targets=[
            target(FROM_THREAD, OF_TRIO, 0.8, "{} x trio.from_thread"),
            target(FROM_INTERPRETER, OF_TRIO, 0.8, "{} x trio.from_thread"),
        ],
    )


async def _measure(settings: Settings, count: int) -> Samples:
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        interpreters = await enter(ours_interpreters.open_peer(settings.worker_count))
        threads = await enter(ours_threads.open_peer(settings.worker_count))
        runs = {
            OF_TRIO: partial(trio.to_thread.run_sync, _ask_trio_often, count),
            FROM_THREAD: partial(threads.call, ask_often, count),
            FROM_INTERPRETER: partial(interpreters.call, ask_often, count),
        }
        contenders = {
            name: partial(timed, run_once, check_equal(name, list(range(count))))
            for name, run_once in runs.items()
        }
        return await interleave(contenders, settings, rounds=15)


def _ask_trio_often(count: int) -> list[int]:
    return [trio.from_thread.run(reply, index) for index in range(count)]
