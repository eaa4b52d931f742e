"""What a stream keeps: over a million requests, and at the bound.

Resident memory of this process. *Over the stream*: after the last tenth of the requests
against after the first. *At the bound*: with as many requests waiting as the bound
allows, each of 10 kB, against before; what the requests themselves take is subtracted.
"""

import gc
import threading
from collections.abc import Iterator

import trio

import runtime

from ..harness import Settings, WrongAnswerError
from ..report import Report, Target
from ..work import echo
from .memory_per_job import resident_bytes

__all__ = ("run",)

FLAT_BYTES = 4 * 2**20  # less than a millionth of a kB for each request
PENDING = 1_000
REQUEST_BYTES = 10_000
AT_MOST_RATIO = 1.2


def run(settings: Settings) -> Report:
    """Measure the situation."""
    count = 20_000 if settings.is_quick else 1_000_000
    growth = trio.run(_over_stream, settings, count)
    idle, requests, full = trio.run(_at_bound, settings)
    ratio = full / (idle + requests)
    mib = 2**20
    return Report(
        name="stream_memory",
        title=f"memory of a stream of {count:,} requests, and of {PENDING:,} waiting",
        notes=["resident memory, MiB"],
        table=[
            ["", "MiB"],
            [f"growth over {count * 9 // 10:,} requests", f"{growth / mib:.1f}"],
            ["idle process", f"{idle / mib:.1f}"],
            [
                f"{PENDING:,} requests of {REQUEST_BYTES:,} bytes",
                f"{requests / mib:.1f}",
            ],
            ["process at the bound", f"{full / mib:.1f}"],
        ],
        samples={"growth": [growth], "idle": [idle], "full": [full]},
        sample_unit="bytes",
        targets=[
            Target(
                f"memory over {count:,} requests",
                f"grows by at most {FLAT_BYTES // mib} MiB",
                f"{growth / mib:.1f} MiB",
                growth <= FLAT_BYTES,
            ),
            Target(
                "memory at the bound",
                f"at most {AT_MOST_RATIO} x idle process and requests",
                f"{ratio:.2f}",
                ratio <= AT_MOST_RATIO,
            ),
        ],
    )


async def _over_stream(settings: Settings, count: int) -> float:
    config = runtime.ParallelConfig(worker_count=settings.worker_count)
    total = 0
    first = last = 0
    async with (
        runtime.ParallelProcessor(echo, config) as processor,
        processor.process(range(count)) as responses,
    ):
        async for response in responses:
            total += response.unwrap()
            if total == _sum_below(count // 10):
                gc.collect()
                first = resident_bytes()
        gc.collect()
        last = resident_bytes()
    if total != _sum_below(count):
        raise WrongAnswerError("the stream gave a wrong answer")
    return float(last - first)


def _sum_below(count: int) -> int:
    return count * (count - 1) // 2


async def _at_bound(settings: Settings) -> tuple[float, float, float]:
    opened = threading.Event()

    def wait(request: bytes) -> int:
        opened.wait()
        return len(request)

    def requests() -> Iterator[bytes]:
        for number in range(2 * PENDING):
            yield number.to_bytes(2) * (REQUEST_BYTES // 2)

    config = runtime.ParallelConfig(
        worker_count=settings.worker_count, max_pending_tasks=PENDING
    )
    async with runtime.ParallelProcessor(wait, config) as processor:
        gc.collect()
        idle = resident_bytes()
        async with processor.process(requests()) as responses:
            while processor.statistics().in_flight < PENDING:  # noqa: ASYNC110
                await trio.sleep(0.01)
            gc.collect()
            full = resident_bytes()
            opened.set()
            sizes = [response.unwrap() async for response in responses]
    if sizes != [REQUEST_BYTES] * 2 * PENDING:
        raise WrongAnswerError("the stream gave a wrong answer")
    return float(idle), float(PENDING * REQUEST_BYTES), float(full)
