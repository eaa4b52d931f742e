"""``python -m runtime demo``: a real job, on one core and then on all.

Layer: cli.
"""

import argparse
import platform
import sysconfig
from collections.abc import Mapping

import trio

import runtime

from .._util import available_cores, is_gil_enabled
from .comparison import Comparison, Pass, compare
from .console import plural, say, show
from .exits import OK, SOME_FAILED
from .findings import describe_findings
from .module_metrics import ModuleMetrics
from .standard_library import standard_library_modules
from .table import align, seconds, short_time

__all__ = ("run",)

_GIL_NOTE = """\
This interpreter has a GIL: only one thread at a time runs Python, so no pool of
threads can be quicker than plain Python here. Run the demo with --backend
interpreters, or with a free-threaded build, to see all cores at work."""

_FEW_CORES = 0.85  # arbitrary; a quiet machine gives more than 0.95 of each core


def run(arguments: argparse.Namespace) -> int:
    """Run the demo and return its exit code."""
    paths = standard_library_modules(arguments.limit)
    worker_count = arguments.workers or available_cores()
    show(_headline(len(paths)))
    comparison = trio.run(compare, paths, worker_count, arguments.backend)
    show("\n" + _times(comparison))
    show("\n" + _pool_figures(comparison))
    show("\n" + _findings(comparison.serial.found))
    if note := _note(comparison):
        show("\n" + note)
    if not comparison.is_equal:
        say("runtime demo: the results differ; this is a bug, please report it")
        return SOME_FAILED
    return OK


def _headline(module_count: int) -> str:
    build = "with a GIL" if is_gil_enabled() else "free-threaded"
    return (
        f"The standard library of Python {platform.python_version()}, {build}:\n"
        f"{plural(module_count, 'module')} to read, tokenise, parse and measure, "
        "in three ways."
    )


def _note(comparison: Comparison) -> str:
    """Return why threads could not be quicker, where they could not."""
    if is_gil_enabled() and comparison.statistics.backend == "threads":
        return _GIL_NOTE
    wanted = comparison.statistics.worker_count
    got = comparison.pooled.cpu / comparison.pooled.wall
    if got > _FEW_CORES * wanted:
        return ""
    return (
        f"The pool got only {got:.1f} of {wanted} cores: other programs were running, "
        "or the interpreter's\nown locks and garbage collection made workers wait."
    )


def _times(comparison: Comparison) -> str:
    workers = plural(comparison.statistics.worker_count, "worker")
    backend = comparison.statistics.backend
    bare = plural(comparison.statistics.worker_count, f"bare {backend[:-1]}")
    pool = f"pool, {workers} ({backend})"
    rows = [
        ["", "wall time", "speed-up", "of ceiling"],
        _time_row("plain Python, one core", comparison.serial, comparison),
        _time_row(pool, comparison.pooled, comparison),
        _time_row(f"ceiling: best cut, {bare}", comparison.ceiling, comparison),
    ]
    equal = "equal" if comparison.is_equal else "NOT EQUAL"
    return align(rows) + f"\n  The results of all three are {equal}."


def _time_row(title: str, this: Pass, comparison: Comparison) -> list[str]:
    speed_up = f"{comparison.serial.wall / this.wall:.2f}x"
    of_ceiling = f"{comparison.ceiling.wall / this.wall:.0%}"
    return [title, seconds(this.wall), speed_up, of_ceiling]


def _pool_figures(comparison: Comparison) -> str:
    statistics = comparison.statistics
    rows = [
        ["", "p50", "p99"],
        _latency_row("dispatch latency, pool idle", comparison.dispatch),
        _latency_row("time in the queue, all cores busy", statistics.queue_latency),
    ]
    jobs = plural(statistics.jobs_executed, "job")
    work = (
        f"  The workers were busy {comparison.utilization_ratio:.0%} of the time: "
        f"{jobs}, {statistics.jobs_stolen:,} stolen from another worker."
    )
    return align(rows) + "\n" + work


def _latency_row(title: str, latency: runtime.HistogramSnapshot) -> list[str]:
    return [title, *(short_time(latency.quantile_ns(q)) for q in (0.5, 0.99))]


def _findings(found: Mapping[str, ModuleMetrics]) -> str:
    lines = sum(metrics.lines for metrics in found.values())
    tokens = sum(metrics.tokens for metrics in found.values())
    functions = sum(metrics.functions for metrics in found.values())
    totals = f"  {lines:,} lines, {tokens:,} tokens, {functions:,} functions"
    root = sysconfig.get_path("stdlib")
    return align(describe_findings(found, root)) + "\n" + totals
