"""The native core against the Python core: the price of a fork and of a submit.

A process uses one core, so each has a process of its own, which stays warm; the
rounds take turns between the two.
"""

import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial

import trio

from ..core_costs import core_name, fork_seconds, submit_seconds
from ..harness import Settings, interleave
from ..machine import is_native
from ..quantiles import paired_ratios, quantile, spread
from ..report import Report, Samples, Target

__all__ = ("run",)

CORES = ("native", "python")
COSTS = {"a fork, net of the plain call": fork_seconds, "a submit": submit_seconds}
AT_LEAST = 3.0


def run(settings: Settings) -> Report:
    """Measure the situation."""
    if not is_native():
        return Report(
            name="core_compare",
            title="the native core against the Python core",
            notes=["not measured: this process does not use the native core"],
            table=[["", "ns"]],
            samples={},
            sample_unit="seconds",
        )
    samples = trio.run(_measure, settings)
    return Report(
        name="core_compare",
        title="the native core against the Python core, 1 worker",
        notes=["each core in a process of its own"],
        table=_table(samples),
        samples=samples,
        sample_unit="seconds",
        targets=[_target(cost, samples) for cost in COSTS],
    )


def _key(core: str, cost: str) -> str:
    return f"{core}: {cost}"


def _ratios(cost: str, samples: Samples) -> list[float]:
    native, python = (samples[_key(core, cost)] for core in CORES)
    return paired_ratios(python, native)


def _table(samples: Samples) -> list[list[str]]:
    rows = [["", "native ns", "Python ns", "x Python", "p10-p90"]]
    for cost in COSTS:
        ratio = spread(_ratios(cost, samples))
        medians = [quantile(samples[_key(core, cost)], 0.5) * 1e9 for core in CORES]
        rows.append(
            [
                cost,
                *(f"{nanoseconds:.0f}" for nanoseconds in medians),
                f"{ratio.median:.2f}",
                f"{ratio.p10:.2f}-{ratio.p90:.2f}",
            ]
        )
    return rows


def _target(cost: str, samples: Samples) -> Target:
    ratio = spread(_ratios(cost, samples))
    return Target(
        f"native core, {cost}",
        f"{AT_LEAST:.1f} x as fast as the Python core",
        f"{ratio.median:.2f} ({ratio.p10:.2f}-{ratio.p90:.2f})",
        ratio.median >= AT_LEAST,
    )


async def _measure(settings: Settings) -> Samples:
    sizes = {fork_seconds: 22, submit_seconds: 20_000}
    if settings.is_quick:
        sizes = {fork_seconds: 15, submit_seconds: 500}
    with ExitStack() as stack:
        processes = {core: stack.enter_context(_process_with(core)) for core in CORES}
        contenders = {
            _key(core, cost): partial(_run_in, processes[core], measure, sizes[measure])
            for core in CORES
            for cost, measure in COSTS.items()
        }
        return await interleave(contenders, settings, rounds=15)


@contextmanager
def _process_with(core: str) -> Iterator[ProcessPoolExecutor]:
    """Start a process that uses this core."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as process, _environment(core):
        found = process.submit(core_name).result()
        assert found == core, f"asked for the {core} core, got the {found} core"
        yield process


@contextmanager
def _environment(core: str) -> Iterator[None]:
    """Let processes that are started in this block use this core."""
    before = os.environ.get("RUNTIME_CORE")
    os.environ["RUNTIME_CORE"] = core
    try:
        yield
    finally:
        if before is None:
            del os.environ["RUNTIME_CORE"]
        else:
            os.environ["RUNTIME_CORE"] = before


async def _run_in(
    process: ProcessPoolExecutor, measure: Callable[[int], float], size: int
) -> float:
    return process.submit(measure, size).result()
