"""The memory that one queued job takes, behind workers that are all blocked.

Measured as growth of the process's resident memory over many queued jobs, each time in
a fresh process and behind as many jobs that are not counted: those use up what the
process had free. That counts all of it: the job, its arguments, its context, its place
in the queue, the handle the caller gets, and what the allocator wastes. Where a call
means a Trio task, the task is counted too, and the floor, a task that only waits,
stands beside it.

The workers are blocked in a read from a pipe, which is possible on every backend.
"""

import gc
import multiprocessing
import os
from collections.abc import Awaitable, Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Self

import trio
import trio.testing

import runtime

from ..compare import our_core
from ..compare.our_core import open_core
from ..harness import Settings, interleave
from ..machine import is_native
from ..quantiles import spread
from ..report import Report, Target
from ..work import echo

__all__ = ("run",)

OURS = "ours: submit_nowait"
LIMIT_BYTES = 1024
NATIVE_LIMIT_BYTES = 300  # of the core alone


def run(settings: Settings) -> Report:
    """Measure the situation."""
    job_count = 5_000 if settings.is_quick else 50_000
    samples = trio.run(_measure, settings, job_count)
    targets = [_target("memory per queued job", samples[OURS], LIMIT_BYTES)]
    if is_native():
        targets.append(
            _target(
                "memory per queued job, native core alone",
                samples[our_core.NAME],
                NATIVE_LIMIT_BYTES,
            )
        )
    return Report(
        name="memory_per_job",
        title=f"memory per queued job, {job_count:,} jobs behind blocked workers",
        notes=["growth of resident memory in a fresh process, divided by the jobs"],
        table=[["", "bytes", "p10-p90"]]
        + [_row(name, figures) for name, figures in samples.items()],
        samples=samples,
        sample_unit="bytes",
        targets=targets,
    )


def _target(situation: str, samples: list[float], limit_bytes: int) -> Target:
    median = spread(samples).median
    return Target(
        situation,
        f"<= {limit_bytes} bytes",
        f"{median:.0f} bytes",
        median <= limit_bytes,
    )


def _row(name: str, figures: list[float]) -> list[str]:
    found = spread(figures)
    return [name, f"{found.median:.0f}", f"{found.p10:.0f}-{found.p90:.0f}"]


async def _measure(settings: Settings, job_count: int) -> dict[str, list[float]]:
    queues = {
        "ThreadPoolExecutor: submit": _queue_on_thread_pool,
        our_core.NAME: _queue_on_core,
        OURS: _queue_on_ours,
        "a Trio task that only waits (floor)": _queue_tasks,
        "trio.to_thread in a nursery": _queue_on_trio_thread,
        "ours: spawn_cpu_work in a nursery": _queue_calls_on_ours,
    }
    contenders = {
        name: partial(_in_fresh_process, queue, settings.worker_count, job_count)
        for name, queue in queues.items()
    }
    return await interleave(contenders, settings, rounds=5, has_warm_up=False)


async def _in_fresh_process(
    queue: Callable[[int, int], float], worker_count: int, job_count: int
) -> float:
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as processes:
        return processes.submit(queue, worker_count, job_count).result()


# From here on: what runs in the fresh process. Each function blocks the workers, queues
# so many jobs behind them, and returns the bytes that one of them took.


def _queue_on_thread_pool(worker_count: int, job_count: int) -> float:
    with ThreadPoolExecutor(worker_count) as executor, _Blockade() as blockade:
        for _ in range(worker_count):
            executor.submit(_hold, *blockade.ends)
        blockade.wait_until_held(worker_count)
        futures = [executor.submit(echo, 1) for _ in range(job_count)]
        before = resident_bytes()
        futures += [executor.submit(echo, 1) for _ in range(job_count)]
        growth = resident_bytes() - before
        del futures
    return growth / job_count


def _queue_on_core(worker_count: int, job_count: int) -> float:
    with open_core(worker_count) as core, _Blockade() as blockade:
        held = [core.submit(_hold, *blockade.ends) for _ in range(worker_count)]
        blockade.wait_until_held(worker_count)
        for _ in range(job_count):
            core.post(echo, 1)
        before = resident_bytes()
        for _ in range(job_count):
            core.post(echo, 1)
        growth = resident_bytes() - before
    for ticket in held:
        ticket.result()
    return growth / job_count


def _queue_on_ours(worker_count: int, job_count: int) -> float:
    return trio.run(_submit_to_ours, worker_count, job_count)


async def _submit_to_ours(worker_count: int, job_count: int) -> float:
    capacity = 2 * job_count + worker_count
    async with runtime.open_worker_pool(
        worker_count, queue_capacity=capacity, backend="threads"
    ) as pool:
        with _Blockade() as blockade:
            held = [
                pool.submit_nowait(_hold, *blockade.ends) for _ in range(worker_count)
            ]
            blockade.wait_until_held(worker_count)
            jobs = [pool.submit_nowait(echo, 1) for _ in range(job_count)]
            before = resident_bytes()
            jobs += [pool.submit_nowait(echo, 1) for _ in range(job_count)]
            growth = resident_bytes() - before
        for job in held + jobs:
            await job.wait()
    return growth / job_count


def _queue_calls_on_ours(worker_count: int, job_count: int) -> float:
    return trio.run(_call_ours, worker_count, job_count)


async def _call_ours(worker_count: int, job_count: int) -> float:
    capacity = 2 * job_count + worker_count
    async with runtime.open_worker_pool(
        worker_count, queue_capacity=capacity, backend="threads"
    ) as pool:
        return await _growth_per_call(pool.spawn_cpu_work, worker_count, job_count)


def _queue_on_trio_thread(worker_count: int, job_count: int) -> float:
    return trio.run(_call_trio_thread, worker_count, job_count)


async def _call_trio_thread(worker_count: int, job_count: int) -> float:
    limiter = trio.CapacityLimiter(worker_count)
    call = partial(trio.to_thread.run_sync, limiter=limiter)
    return await _growth_per_call(call, worker_count, job_count)


def _queue_tasks(_worker_count: int, job_count: int) -> float:
    return trio.run(_park_tasks, job_count)


async def _park_tasks(job_count: int) -> float:
    async with trio.open_nursery() as nursery:
        await _start_tasks(nursery, job_count, trio.sleep_forever)
        before = resident_bytes()
        await _start_tasks(nursery, job_count, trio.sleep_forever)
        growth = resident_bytes() - before
        nursery.cancel_scope.cancel()
    return growth / job_count


async def _growth_per_call(
    call: Callable[..., Awaitable[object]], worker_count: int, job_count: int
) -> float:
    async with trio.open_nursery() as nursery:
        with _Blockade() as blockade:
            await _start_tasks(nursery, worker_count, call, _hold, *blockade.ends)
            blockade.wait_until_held(worker_count)
            await _start_tasks(nursery, job_count, call, echo, 1)
            before = resident_bytes()
            await _start_tasks(nursery, job_count, call, echo, 1)
            growth = resident_bytes() - before
    return growth / job_count


async def _start_tasks(
    nursery: trio.Nursery,
    task_count: int,
    async_fn: Callable[..., Awaitable[object]],
    *args: object,
) -> None:
    for _ in range(task_count):
        nursery.start_soon(async_fn, *args)
    await trio.testing.wait_all_tasks_blocked()


class _Blockade:
    """Two pipes: on one, workers say that they are held; the other lets them go."""

    def __enter__(self) -> Self:
        self._held, held = os.pipe()
        release, self._release = os.pipe()
        self.ends = (held, release)
        return self

    def wait_until_held(self, worker_count: int) -> None:
        for _ in range(worker_count):
            os.read(self._held, 1)

    def __exit__(self, *_exc: object) -> None:
        os.close(self._release)  # every read of the other end returns


def _hold(held: int, release: int) -> None:
    """Block the worker until the blockade ends."""
    os.write(held, b".")
    os.read(release, 1)


def resident_bytes() -> int:
    gc.collect()  # what can be freed does not count
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
