"""Do the same job in three ways and time them: one core, the pool, the ceiling.

The job is cut into a few rounds, and each round is done in all three ways one
after the other, so that whatever else the machine does meanwhile weighs on all
of them alike. The plain pass gives the answers that the others must repeat, and
the costs by which the ceiling's cut is made (`bare_threads`, `bare_interpreters`).

Layer: cli.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

import runtime

from .bare_threads import cut_by_cost, run_in_threads
from .module_metrics import ModuleMetrics, measure_module
from .progress import Progress, open_progress

__all__ = ("Comparison", "Pass", "compare")

type _RunBare = Callable[[Sequence[Sequence[str]]], list[dict[str, ModuleMetrics]]]

_ROUNDS = 4  # arbitrary; each round ends with a moment in which a core may be idle
_PROBES = 500  # enough for a 99th percentile; takes about 50 ms


@dataclass(slots=True)
class Pass:
    """One way of doing the job: its answers and the time it took so far."""

    found: dict[str, ModuleMetrics] = field(default_factory=dict)
    wall: float = 0.0
    cpu: float = 0.0
    """Processor time of the whole process meanwhile, in seconds."""

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Add the time of the block."""
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self.wall += time.perf_counter() - wall
        self.cpu += time.process_time() - cpu


@dataclass(frozen=True, slots=True)
class Comparison:
    """What was measured."""

    serial: Pass
    pooled: Pass
    ceiling: Pass
    statistics: runtime.PoolStatistics
    """The pool's, after the last round."""
    dispatch: runtime.HistogramSnapshot
    """Time between sending and beginning a job, for single jobs to an idle pool."""

    @property
    def is_equal(self) -> bool:
        """Whether all three ways found the same."""
        return self.serial.found == self.pooled.found == self.ceiling.found

    @property
    def utilization_ratio(self) -> float:
        """Share of the workers' time spent in jobs, while the pool had work."""
        busy_ns = sum(worker.busy_ns for worker in self.statistics.workers)
        return busy_ns / (self.statistics.worker_count * self.pooled.wall * 1e9)


async def compare(paths: Sequence[str], worker_count: int, backend: str) -> Comparison:
    """Measure the modules at ``paths`` in all three ways."""
    serial, pooled, ceiling = Pass(), Pass(), Pass()
    async with runtime.open_worker_pool(
        worker_count, backend=backend, name="demo"
    ) as pool:
        with (
            _open_bare(pool) as run_bare,
            open_progress("demo", "module", 3 * len(paths)) as progress,
        ):
            for number in range(_ROUNDS):
                part = paths[number::_ROUNDS]
                title = f"round {number + 1} of {_ROUNDS}"
                progress.describe(f"{title}: one core")
                costs = _on_one_core(serial, part, progress)
                progress.describe(f"{title}: all cores")
                await _on_the_pool(pooled, part, pool, progress)
                progress.describe(f"{title}: the ceiling")
                _bare(ceiling, cut_by_cost(part, costs, worker_count), run_bare)
                progress.advance(len(part), len(part))
        statistics = pool.statistics()
    dispatch = await _probe_dispatch(worker_count, backend)
    return Comparison(serial, pooled, ceiling, statistics, dispatch)


def _on_one_core(this: Pass, paths: Sequence[str], progress: Progress) -> list[float]:
    costs: list[float] = []
    with this.timed():
        for path in paths:
            begin = time.perf_counter()
            this.found[path] = measure_module(path)
            costs.append(time.perf_counter() - begin)
            progress.advance(1, 1)
    return costs


async def _on_the_pool(
    this: Pass, paths: Sequence[str], pool: runtime.WorkerPool, progress: Progress
) -> None:
    found: list[ModuleMetrics] = []
    with this.timed():
        async with pool.map(measure_module, paths) as results:
            async for metrics in results:
                found.append(metrics)
                progress.advance(1, 1)
    this.found.update(zip(paths, found, strict=True))


@contextmanager
def _open_bare(pool: runtime.WorkerPool) -> Iterator[_RunBare]:
    """Give what runs parts without a pool, in what the pool's workers are."""
    if pool.statistics().backend == "threads":
        yield partial(run_in_threads, measure_module)
        return
    from .bare_interpreters import open_bare_interpreters

    with open_bare_interpreters(pool.worker_count, measure_module) as bare:
        yield partial(bare.run, measure_module)


def _bare(this: Pass, parts: Sequence[Sequence[str]], run_bare: _RunBare) -> None:
    with this.timed():
        answers = run_bare(parts)
    for part in answers:
        this.found.update(part)


async def _probe_dispatch(worker_count: int, backend: str) -> runtime.HistogramSnapshot:
    async with runtime.open_worker_pool(worker_count, backend=backend) as pool:
        for _ in range(_PROBES):
            await pool.spawn_cpu_work(_nothing)
        return pool.statistics().queue_latency


def _nothing() -> None:
    pass
