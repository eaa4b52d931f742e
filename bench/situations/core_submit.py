"""Submit and wait from a plain thread: the scheduler alone, without Trio.

The peer is `ThreadPoolExecutor`, which does the same with one shared queue. Four cases:
one worker that has just run a job, several, several that sleep, and many submits before
the first wait. A sleeping worker has to be woken by the system, which is most of that
case's time for both.
"""

import gc
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from typing import Protocol

import trio

from ..compare import our_core, thread_pool
from ..compare.our_core import OurCore, open_core
from ..harness import Settings, check_equal, interleave
from ..machine import is_native
from ..quantiles import paired_ratios, quantile, spread
from ..report import Report, Samples, Target
from ..work import echo

__all__ = ("run",)

ONE_WARM = "submit and wait, 1 warm worker"
WARM = "submit and wait, all workers"
PARKED = "submit and wait, workers parked first"
MANY = "20,000 submits, then waits"
PROMISES = {ONE_WARM: 10.0, WARM: 4.0, PARKED: 1.5, MANY: 4.0}
NAP = 0.001  # arbitrary: longer than any worker searches before it parks


class _Handle(Protocol):
    def result(self) -> int: ...


type _Submit = Callable[[Callable[[int], int], int], _Handle]
# Runs so many jobs and returns the answers and the seconds that count.
type _Run = Callable[[_Submit, int], tuple[list[int], float]]


def run(settings: Settings) -> Report:
    """Measure the situation."""
    samples = trio.run(_measure, settings)
    return Report(
        name="core_submit",
        title="submit a job that does nothing from a plain thread, and wait for it",
        notes=[
            f"{our_core.NAME}: Registry, Job and Latch of runtime.lowlevel",
            f"us is per job; parked first: {NAP * 1e3:.0f} ms pass before each job",
        ],
        table=_table(samples),
        samples=samples,
        sample_unit="seconds per job",
        targets=[_target(case, samples) for case in PROMISES if is_native()],
    )


def _key(who: str, case: str) -> str:
    return f"{who}, {case}"


def _ratios(case: str, samples: Samples) -> list[float]:
    peer, ours = (samples[_key(m.NAME, case)] for m in (thread_pool, our_core))
    return paired_ratios(peer, ours)


def _table(samples: Samples) -> list[list[str]]:
    rows = [["", "ours us", "executor us", "x executor", "p10-p90"]]
    for case in PROMISES:
        ratio = spread(_ratios(case, samples))
        rows.append(
            [
                case,
                f"{quantile(samples[_key(our_core.NAME, case)], 0.5) * 1e6:.1f}",
                f"{quantile(samples[_key(thread_pool.NAME, case)], 0.5) * 1e6:.1f}",
                f"{ratio.median:.2f}",
                f"{ratio.p10:.2f}-{ratio.p90:.2f}",
            ]
        )
    return rows


def _target(case: str, samples: Samples) -> Target:
    ratio = spread(_ratios(case, samples))
    return Target(
        case,
        f"{PROMISES[case]:.1f} x as fast as ThreadPoolExecutor",
        f"{ratio.median:.2f} ({ratio.p10:.2f}-{ratio.p90:.2f})",
        ratio.median >= PROMISES[case],
    )


async def _measure(settings: Settings) -> Samples:
    scale = 10 if settings.is_quick else 1
    cases: dict[str, tuple[_Run, int]] = {
        WARM: (_one_by_one, 2_000 // scale),
        PARKED: (_one_by_one_with_naps, 200 // scale),
        MANY: (_all_then_wait, 20_000 // scale),
    }
    with ExitStack() as stack:
        contenders: dict[str, Callable[[], Awaitable[float]]] = {}
        for case, worker_count, (run_jobs, job_count) in [
            (ONE_WARM, 1, cases[WARM]),
            *((case, settings.worker_count, how) for case, how in cases.items()),
        ]:
            core = stack.enter_context(open_core(worker_count))
            executor = stack.enter_context(ThreadPoolExecutor(worker_count))
            submits: dict[str, tuple[_Submit, Callable[[], None]]] = {
                our_core.NAME: (core.submit, partial(_wait_until_parked, core)),
                thread_pool.NAME: (executor.submit, lambda: None),
            }
            for who, (submit, settle) in submits.items():
                contenders[_key(who, case)] = partial(
                    _seconds_per_job, who, run_jobs, submit, job_count, settle
                )
        return await interleave(contenders, settings, rounds=15)


async def _seconds_per_job(
    who: str,
    run_jobs: _Run,
    submit: _Submit,
    job_count: int,
    settle: Callable[[], None],
) -> float:
    gc.collect()
    settle()
    answers, seconds = run_jobs(submit, job_count)
    check_equal(who, list(range(job_count)))(answers)
    return seconds / job_count


def _wait_until_parked(core: OurCore) -> None:
    """Check that the naps are long enough for what the case is called."""
    deadline = time.monotonic() + 10
    while not core.is_everyone_asleep():
        assert time.monotonic() < deadline, "the workers do not park"
        time.sleep(NAP)


def _one_by_one(submit: _Submit, job_count: int) -> tuple[list[int], float]:
    start_ns = time.perf_counter_ns()
    answers = [submit(echo, index).result() for index in range(job_count)]
    return answers, (time.perf_counter_ns() - start_ns) / 1e9


def _one_by_one_with_naps(submit: _Submit, job_count: int) -> tuple[list[int], float]:
    answers, seconds = [], 0.0
    for index in range(job_count):
        time.sleep(NAP)
        start_ns = time.perf_counter_ns()
        answers.append(submit(echo, index).result())
        seconds += (time.perf_counter_ns() - start_ns) / 1e9
    return answers, seconds


def _all_then_wait(submit: _Submit, job_count: int) -> tuple[list[int], float]:
    start_ns = time.perf_counter_ns()
    handles = [submit(echo, index) for index in range(job_count)]
    answers = [handle.result() for handle in handles]
    return answers, (time.perf_counter_ns() - start_ns) / 1e9
