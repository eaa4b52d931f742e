"""How soon a running job ends when its caller is cancelled, and what looking costs.

A job notes the clock when `JobCancelled` or `JobInterrupted` is raised inside it; the
latency is from the cancellation in the Trio thread to that moment. Once alone, and
once with a job of another caller on every other worker. Shutdown with cancel is
measured over jobs that wait behind a running one, and memory as growth over a loop
of calls that are cancelled while a stuck worker keeps them from beginning.
"""

import resource
import time
from collections.abc import Callable

import trio

import runtime

from ..harness import Settings, WrongAnswerError
from ..machine import is_native
from ..quantiles import quantile
from ..report import Report, Target

__all__ = ("run",)

TOKEN_ALONE = "token seen, one core busy"
TOKEN_BUSY = "token seen, all cores busy"
INTERRUPT_ALONE = "interrupt, one core busy"
INTERRUPT_BUSY = "interrupt, all cores busy"
CHECK = "check_cancelled that does not raise"
SHUTDOWN = "shutdown(0) of 10^4 queued jobs"
GROWTH = "resident memory after the loop"

LIMITS_MS = {
    TOKEN_ALONE: 0.5,
    TOKEN_BUSY: 6.0,
    INTERRUPT_ALONE: 1.0,
    INTERRUPT_BUSY: 10.0,
}


def run(settings: Settings) -> Report:
    """Measure the situation."""
    samples = trio.run(_measure, settings)
    table = [["", "median", "p99"]]
    targets = []
    for name, limit in LIMITS_MS.items():
        found = [1e3 * seconds for seconds in samples[name]]
        p99 = quantile(found, 0.99)
        table.append([name, f"{quantile(found, 0.5):.2f} ms", f"{p99:.2f} ms"])
        targets.append(
            Target(name, f"p99 <= {limit} ms", f"{p99:.2f} ms", p99 <= limit)
        )
    for name, unit, scale in ((CHECK, "ns", 1e9), (SHUTDOWN, "ms", 1e3)):
        median = scale * quantile(samples[name], 0.5)
        table.append([name, f"{median:.0f} {unit}", ""])
        limit = {CHECK: 100, SHUTDOWN: 50}[name]
        if name is SHUTDOWN or is_native():
            targets.append(
                Target(name, f"<= {limit} {unit}", f"{median:.0f}", median <= limit)
            )
    table.append([GROWTH, f"{samples[GROWTH][0] / 1e6:.1f} MB", ""])
    return Report(
        name="cancel_running",
        title="from a cancellation to its end in the job",
        notes=["latencies from the Trio thread to inside the job"],
        table=table,
        samples=samples,
        sample_unit="seconds; bytes for memory",
        targets=targets,
    )


async def _measure(settings: Settings) -> dict[str, list[float]]:
    count = 10 if settings.is_quick else 100
    job_count = 1_000 if settings.is_quick else 10_000
    loops = 2_000 if settings.is_quick else 1_000_000
    samples: dict[str, list[float]] = {}
    async with runtime.open_worker_pool(
        settings.worker_count, backend="threads"
    ) as pool:
        others = settings.worker_count - 1
        for job, alone, busy in (
            (_asking, TOKEN_ALONE, TOKEN_BUSY),
            (_spinning, INTERRUPT_ALONE, INTERRUPT_BUSY),
        ):
            samples[alone] = [await _latency(pool, job, 0) for _ in range(count)]
            samples[busy] = [await _latency(pool, job, others) for _ in range(count)]
        samples[CHECK] = [await pool.spawn_cpu_work(_check_cost) for _ in range(9)]
    samples[SHUTDOWN] = [await _shutdown(job_count) for _ in range(3)]
    samples[GROWTH] = [await _growth(loops)]
    return samples


def _asking(entered: list[bool]) -> None:
    entered.append(True)
    while True:
        runtime.check_cancelled()


def _spinning(entered: list[bool]) -> None:
    entered.append(True)
    n = 0
    while True:
        n += 1


async def _latency(
    pool: runtime.WorkerPool, job: Callable[[list[bool]], None], others: int
) -> float:
    """Cancel one job while some others spin; return how long it went on."""
    entered: list[bool] = []
    ended: list[float] = []

    def work() -> None:
        try:
            job(entered)
        finally:
            ended.append(time.perf_counter())

    with trio.CancelScope() as whole:
        async with trio.open_nursery() as nursery:
            for _ in range(others):
                nursery.start_soon(_call, pool, _asking, entered)
            with trio.CancelScope() as scope:
                nursery.start_soon(_cancel_when, entered, others + 1, scope, ended)
                await pool.spawn_cpu_work(
                    work, on_cancel="wait" if job is _asking else "interrupt"
                )
            whole.cancel()
    begin, end = ended
    return end - begin


async def _call(
    pool: runtime.WorkerPool, job: Callable[[list[bool]], None], entered: list[bool]
) -> None:
    await pool.spawn_cpu_work(job, entered)


async def _cancel_when(
    entered: list[bool], count: int, scope: trio.CancelScope, times: list[float]
) -> None:
    await _wait_entered(entered, count)
    await trio.sleep(0.001)
    times.append(time.perf_counter())
    scope.cancel()


async def _wait_entered(entered: list[bool], count: int) -> None:
    while len(entered) < count:  # noqa: ASYNC110 - a job cannot set a trio.Event
        await trio.sleep(0.001)


def _check_cost() -> float:
    """Return the seconds that one check takes, the loop not counted."""
    count = 100_000
    check = runtime.check_cancelled
    begin = time.perf_counter()
    for _ in range(count):
        check()
    middle = time.perf_counter()
    for _ in range(count):
        pass
    return (2 * middle - begin - time.perf_counter()) / count


async def _shutdown(job_count: int) -> float:
    """Return how long a pool with that many queued jobs takes to be shut down."""
    async with runtime.open_worker_pool(
        1, queue_capacity=job_count, backend="threads"
    ) as pool:
        entered: list[bool] = []
        pool.submit_nowait(_asking, entered)
        await _wait_entered(entered, 1)
        for _ in range(job_count - 1):
            pool.submit_nowait(abs, 1)
        begin = time.perf_counter()
        report = await pool.shutdown(0)
        elapsed = time.perf_counter() - begin
    if report.withdrawn != job_count - 1 or report.still_running:
        raise WrongAnswerError(f"the shutdown reports {report}")
    return elapsed


async def _growth(loops: int) -> float:
    """Return by how many bytes the process grew over cancelled calls."""
    async with runtime.open_worker_pool(1, backend="threads") as pool:
        entered: list[bool] = []
        stuck = pool.submit_nowait(_asking, entered)
        await _wait_entered(entered, 1)
        await _cancelled_calls(pool, 1_000)
        before = _peak_bytes()
        await _cancelled_calls(pool, loops)
        grown = _peak_bytes() - before
        statistics = pool.statistics()
        if statistics.queued > 2 or statistics.jobs_withdrawn < loops:
            raise WrongAnswerError(f"not withdrawn, or kept: {statistics}")
        stuck.cancel()
    return grown


async def _cancelled_calls(pool: runtime.WorkerPool, count: int) -> None:
    soon = trio.lowlevel.current_trio_token().run_sync_soon
    for _ in range(count):
        with trio.CancelScope() as scope:
            soon(scope.cancel)  # a deadline of 0 would cancel it before it is queued
            await pool.spawn_cpu_work(abs, 1)


def _peak_bytes() -> float:
    return 1024.0 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
