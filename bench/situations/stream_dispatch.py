"""How soon a request begins when the workers have half of what they could do.

Requests of 0.5 ms come evenly, as many as fill half of the workers' time; nothing is
delayed to fill batches. Dispatch latency is from the acceptance of a request to the
call of the handler, by the processor's own statistics, one p99 for each round.
"""

import gc
from collections.abc import AsyncIterator

import trio

from ..calibrate import loops_for
from ..compare import our_stream
from ..compare.our_stream import open_stream
from ..harness import Settings, check_equal, interleave
from ..quantiles import spread
from ..report import Report, Target
from ..work import spin

__all__ = ("run",)

REQUEST_SECONDS = 0.0005
LOAD = 0.5
LIMIT = 0.001


def run(settings: Settings) -> Report:
    """Measure the situation."""
    seconds = 0.3 if settings.is_quick else 1.5
    found = trio.run(_measure, settings, seconds)
    p50 = spread([sample[0] for sample in found])
    p99 = spread([sample[1] for sample in found])
    return Report(
        name="stream_dispatch",
        title="from acceptance to start, evenly paced at half load",
        notes=["all figures are ms; a bucket's upper edge, at most 25 % too high"],
        table=[
            ["", "p50", "p10-p90", "p99", "p10-p90"],
            [
                our_stream.NAME,
                f"{p50.median * 1e3:.3f}",
                f"{p50.p10 * 1e3:.3f}-{p50.p90 * 1e3:.3f}",
                f"{p99.median * 1e3:.3f}",
                f"{p99.p10 * 1e3:.3f}-{p99.p90 * 1e3:.3f}",
            ],
        ],
        samples={
            "p50": [sample[0] for sample in found],
            "p99": [sample[1] for sample in found],
        },
        sample_unit="seconds",
        targets=[
            Target(
                "dispatch latency at half load",
                f"p99 at most {LIMIT * 1e3:.0f} ms",
                f"{p99.median * 1e3:.2f} ({p99.p10 * 1e3:.2f}-{p99.p90 * 1e3:.2f})",
                p99.median <= LIMIT,
            )
        ],
    )


async def _measure(settings: Settings, seconds: float) -> list[tuple[float, float]]:
    loops = loops_for(REQUEST_SECONDS)
    gap = REQUEST_SECONDS / (LOAD * settings.worker_count)
    count = round(seconds / gap)
    expected = [spin(loops)] * count

    async def one_round() -> tuple[float, float]:
        gc.collect()
        async with open_stream(spin, settings.worker_count) as stream:
            async with stream.processor.process(_paced(loops, count, gap)) as responses:
                answers = [response.unwrap() async for response in responses]
            latency = stream.processor.statistics().queue_latency
        check_equal(our_stream.NAME, expected)(answers)
        return latency.quantile_ns(0.5) / 1e9, latency.quantile_ns(0.99) / 1e9

    samples = await interleave({"paced": one_round}, settings, rounds=9)
    return samples["paced"]


async def _paced(item: int, count: int, gap: float) -> AsyncIterator[int]:
    """Yield an item at even times; what was missed comes at once."""
    due = trio.current_time()
    for _ in range(count):
        due += gap
        await trio.sleep_until(due)
        yield item
