"""What interpreters cost that no ratio of two contenders shows.

Each row has a figure of its own, taken several times; the median counts. Memory is
what the process has resident, so other pools of this process come first.
"""

import gc
import os
import threading
import time
from pathlib import Path

import trio

import runtime

from ..calibrate import loops_for
from ..harness import Settings, WrongAnswerError
from ..quantiles import quantile, spread
from ..report import Report, Target
from ..work import count_ends, echo, spin

__all__ = ("run",)

MEGABYTE = 1e6
VIEW_BYTES = 100_000_000
# What the allocator may keep after 10^5 jobs, and after 100 MB that were not copied.
SLACK_MB = 2.0

type _Figures = dict[str, list[float]]

START = "start to first result, ms"
PER_WORKER = "memory per worker, MB"
VIEW_MS = "100 MB in, a number out, ms"
VIEW_MB = "100 MB in, a number out: growth, MB"
BESIDE = "throughput beside a busy main, of idle"
GROWTH = "growth by 10^5 jobs, MB"
DESCRIPTORS = "growth by 10^5 jobs, descriptors"


def run(settings: Settings) -> Report:
    """Measure the situation."""
    figures: _Figures = {}
    trio.run(_measure, settings, figures)
    return Report(
        name="interpreters_costs",
        title="what a pool of interpreters costs",
        notes=["each figure by itself; the answers are checked"],
        table=[["", "median", "p10-p90"]]
        + [_row(name, found) for name, found in figures.items()],
        samples=figures,
        sample_unit="as named",
        targets=[
            _at_most(figures, START, 100.0),
            _at_most(figures, VIEW_MB, SLACK_MB),
            _at_least(figures, BESIDE, 0.85),
            _at_most(figures, GROWTH, SLACK_MB),
            _at_most(figures, DESCRIPTORS, 0.0),
        ],
    )


def _row(name: str, found: list[float]) -> list[str]:
    figure = spread(found)
    return [name, f"{figure.median:.2f}", f"{figure.p10:.2f}-{figure.p90:.2f}"]


def _at_most(figures: _Figures, name: str, limit: float) -> Target:
    found = quantile(figures[name], 0.5)
    return Target(name, f"<= {limit:g}", f"{found:.2f}", found <= limit)


def _at_least(figures: _Figures, name: str, limit: float) -> Target:
    found = quantile(figures[name], 0.5)
    return Target(name, f">= {limit:g}", f"{found:.2f}", found >= limit)


async def _measure(settings: Settings, figures: _Figures) -> None:
    rounds = settings.rounds_or(5)
    count = settings.worker_count
    note = _Notes(figures)
    for _ in range(rounds):
        before = _resident_mb()
        start_ns = time.perf_counter_ns()
        async with runtime.open_worker_pool(count, backend="interpreters") as pool:
            _check(await pool.spawn_cpu_work(echo, 1), 1)
            note(START, (time.perf_counter_ns() - start_ns) / 1e6)
            await _reach_all(pool)
            note(PER_WORKER, (_resident_mb() - before) / count)
    async with runtime.open_worker_pool(1, backend="interpreters") as pool:
        await pool.spawn_cpu_work(echo, 1)
        view = memoryview(bytearray(VIEW_BYTES))
        for _ in range(rounds):
            before = _resident_mb()
            start_ns = time.perf_counter_ns()
            _check(await pool.spawn_cpu_work(count_ends, view), VIEW_BYTES)
            note(VIEW_MS, (time.perf_counter_ns() - start_ns) / 1e6)
            note(VIEW_MB, _resident_mb() - before)
        for _ in range(rounds):
            note(BESIDE, await _share_beside_a_busy_main(pool, settings.is_quick))
    job_count = 5_000 if settings.is_quick else 100_000
    async with runtime.open_worker_pool(count, backend="interpreters") as pool:
        await _run_many(pool, job_count // 10)
        for _ in range(min(rounds, 3)):
            before, descriptors = _resident_mb(), _descriptor_count()
            await _run_many(pool, job_count)
            note(GROWTH, _resident_mb() - before)
            note(DESCRIPTORS, _descriptor_count() - descriptors)


class _Notes:
    def __init__(self, figures: _Figures) -> None:
        self._figures = figures

    def __call__(self, name: str, figure: float) -> None:
        self._figures.setdefault(name, []).append(figure)


async def _reach_all(pool: runtime.WorkerPool) -> None:
    """Keep every worker busy for a moment, so that each has begun."""
    items = [loops_for(0.02)] * (4 * pool.worker_count)
    await pool.spawn_parallel_batch(items, spin)


async def _share_beside_a_busy_main(pool: runtime.WorkerPool, is_quick: bool) -> float:
    """Return the idle main's time over that beside a thread of main that spins."""
    items = [loops_for(0.001)] * (50 if is_quick else 300)
    idle = await _seconds_for(pool, items)
    is_over = False

    def keep_busy() -> None:
        while not is_over:
            pass

    spinner = threading.Thread(target=keep_busy)
    spinner.start()
    try:
        busy = await _seconds_for(pool, items)
    finally:
        is_over = True
        spinner.join()
    return idle / busy


async def _seconds_for(pool: runtime.WorkerPool, items: list[int]) -> float:
    start_ns = time.perf_counter_ns()
    _check(await pool.spawn_parallel_batch(items, spin), [spin(items[0])] * len(items))
    return (time.perf_counter_ns() - start_ns) / 1e9


async def _run_many(pool: runtime.WorkerPool, job_count: int) -> None:
    """Run jobs from 50 tasks, each one after another."""
    positions = iter(range(job_count))

    async def caller() -> None:
        for position in positions:
            _check(await pool.spawn_cpu_work(echo, position), position)

    async with trio.open_nursery() as nursery:
        for _ in range(50):
            nursery.start_soon(caller)


def _check(answer: object, expected: object) -> None:
    if answer != expected:
        raise WrongAnswerError("an interpreter gave a wrong answer")


def _resident_mb() -> float:
    gc.collect()
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE") / MEGABYTE


def _descriptor_count() -> int:
    return len(os.listdir("/proc/self/fd"))
