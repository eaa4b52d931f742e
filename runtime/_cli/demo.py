"""``python -m runtime demo``: a real job, on one core and then on all.

Three passes over the same modules with the same function: plain Python in
one thread, the pool, and the ceiling (`bare_threads`). The first gives the
answers the others must repeat, and the costs by which the ceiling is cut.

Layer: cli. Imports: trio.
"""

import argparse
import platform
import sysconfig
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import trio

import runtime

from .._util import available_cores, is_gil_enabled
from .bare_threads import cut_by_cost, run_in_threads
from .console import plural, say, show
from .exits import OK, SOME_FAILED
from .findings import describe_findings
from .module_metrics import ModuleMetrics, measure_module
from .progress import open_progress
from .standard_library import standard_library_modules
from .table import align, seconds, short_time

__all__ = ("run",)

type Found = Mapping[str, ModuleMetrics]

_PROBES = 500  # enough for a 99th percentile; takes about 50 ms

_GIL_NOTE = """\
This interpreter has a GIL, and only one thread at a time may run Python: no pool of
threads can be quicker than plain Python here. Run the demo on a free-threaded build
(python3.13t, or python3.14t) to see all cores at work."""


@dataclass(frozen=True, slots=True)
class _Pass:
    """One way of doing the whole job."""

    found: Found
    wall: float


@dataclass(frozen=True, slots=True)
class _Dispatch:
    """How long jobs lay between being sent and being begun, in nanoseconds."""

    median: float
    p99: float


def run(arguments: argparse.Namespace) -> int:
    """Run the demo and return its exit code."""
    paths = standard_library_modules(arguments.limit)
    worker_count = arguments.workers or available_cores()
    show(_headline(paths))

    serial, costs = _on_one_core(paths)
    show(f"  plain Python, one core: {seconds(serial.wall)}")
    pooled, statistics = trio.run(_on_a_pool, paths, worker_count, arguments.backend)
    show(f"  pool, {plural(worker_count, 'worker')}: {seconds(pooled.wall)}")
    ceiling = _in_bare_threads(paths, costs, worker_count)
    dispatch = trio.run(_probe_dispatch, worker_count, arguments.backend)

    show("\n" + _times(serial, pooled, ceiling, statistics))
    show("\n" + _pool_figures(statistics, dispatch))
    show("\n" + _findings(serial.found))
    if is_gil_enabled():
        show("\n" + _GIL_NOTE)
    if not serial.found == pooled.found == ceiling.found:
        say("runtime demo: the results differ; this is a bug, please report it")
        return SOME_FAILED
    return OK


# The three passes


def _on_one_core(paths: Sequence[str]) -> tuple[_Pass, list[float]]:
    found: dict[str, ModuleMetrics] = {}
    costs: list[float] = []
    begin = time.perf_counter()
    with open_progress("one core ", "modules", len(paths)) as progress:
        for path in paths:
            item_begin = time.perf_counter()
            found[path] = measure_module(path)
            costs.append(time.perf_counter() - item_begin)
            progress.advance(1, 1)
    return _Pass(found, time.perf_counter() - begin), costs


async def _on_a_pool(
    paths: Sequence[str], worker_count: int, backend: str
) -> tuple[_Pass, runtime.PoolStatistics]:
    found: list[ModuleMetrics] = []
    begin = time.perf_counter()
    with open_progress("all cores", "modules", len(paths)) as progress:
        async with runtime.open_worker_pool(
            worker_count, backend=backend, name="demo"
        ) as pool:
            async with pool.map(measure_module, paths) as results:
                async for metrics in results:
                    found.append(metrics)
                    progress.advance(1, 1)
            statistics = pool.statistics()
    wall = time.perf_counter() - begin
    return _Pass(dict(zip(paths, found, strict=True)), wall), statistics


def _in_bare_threads(
    paths: Sequence[str], costs: Sequence[float], thread_count: int
) -> _Pass:
    parts = cut_by_cost(paths, costs, thread_count)
    begin = time.perf_counter()
    with open_progress("the ceiling", "modules", None):
        answers = run_in_threads(measure_module, parts)
    wall = time.perf_counter() - begin
    return _Pass({path: part[path] for part in answers for path in part}, wall)


async def _probe_dispatch(worker_count: int, backend: str) -> _Dispatch:
    """Send no-ops one by one to an idle pool."""
    async with runtime.open_worker_pool(worker_count, backend=backend) as pool:
        for _ in range(_PROBES):
            await pool.spawn_cpu_work(_nothing)
        waited = pool.statistics().queue_latency
        return _Dispatch(waited.quantile_ns(0.5), waited.quantile_ns(0.99))


def _nothing() -> None:
    pass


# What is said


def _headline(paths: Sequence[str]) -> str:
    build = "with a GIL" if is_gil_enabled() else "free-threaded"
    return (
        f"The standard library of Python {platform.python_version()} ({build}): "
        f"read, tokenise, parse and measure {plural(len(paths), 'module')}"
    )


def _times(
    serial: _Pass,
    pooled: _Pass,
    ceiling: _Pass,
    statistics: runtime.PoolStatistics,
) -> str:
    workers = plural(statistics.worker_count, "worker")
    rows = [
        ["", "wall time", "speed-up", "of ceiling"],
        _time_row("plain Python, one core", serial, serial, ceiling),
        _time_row(f"pool, {workers} ({statistics.backend})", pooled, serial, ceiling),
        _time_row("ceiling: best cut into bare threads", ceiling, serial, ceiling),
    ]
    return align(rows)


def _time_row(title: str, this: _Pass, serial: _Pass, ceiling: _Pass) -> list[str]:
    speed_up = f"{serial.wall / this.wall:.2f}x"
    return [title, seconds(this.wall), speed_up, f"{ceiling.wall / this.wall:.0%}"]


def _pool_figures(statistics: runtime.PoolStatistics, dispatch: _Dispatch) -> str:
    waited = statistics.queue_latency
    rows = [
        ["", "p50", "p99"],
        [
            "dispatch latency, idle pool",
            short_time(dispatch.median),
            short_time(dispatch.p99),
        ],
        [
            "time in the queue, all cores busy",
            short_time(waited.quantile_ns(0.5)),
            short_time(waited.quantile_ns(0.99)),
        ],
    ]
    work = (
        f"  workers busy {statistics.utilization_ratio:.0%} of the time; "
        f"{plural(statistics.jobs_executed, 'job')}, "
        f"{statistics.jobs_stolen:,} stolen from another worker"
    )
    return align(rows) + "\n" + work


def _findings(found: Found) -> str:
    lines = sum(metrics.lines for metrics in found.values())
    tokens = sum(metrics.tokens for metrics in found.values())
    functions = sum(metrics.functions for metrics in found.values())
    totals = f"  {lines:,} lines, {tokens:,} tokens, {functions:,} functions"
    root = sysconfig.get_path("stdlib")
    return totals + "\n" + align(describe_findings(found, root))
