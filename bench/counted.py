#!/usr/bin/env python3
"""Do something a given number of times, for a tool that counts instructions.

``counted.py fork NUMBER`` computes a Fibonacci number with a fork at every call,
``counted.py plain NUMBER`` without; ``counted.py submit COUNT`` submits jobs and runs
each. All of that happens on one thread: threads that wait for each other would make the
count depend on chance. ``counted.py call COUNT`` makes so many calls in a Trio nursery,
on a pool, and ``counted.py floor COUNT`` has as many tasks do one checkpoint each;
their counts depend on chance a little.
"""

import sys
from collections.abc import Callable
from contextvars import copy_context
from pathlib import Path

# At the end: an installed `runtime` comes before the checkout's.
sys.path.append(str(Path(__file__).resolve().parent.parent))

import trio

import runtime
from bench.forks import fib, fib_by_join
from bench.work import echo
from runtime.lowlevel import Job, Registry


def main(what: str, size: int) -> None:
    """Run one of them."""
    if what in ("call", "floor"):
        trio.run(_in_nursery, what, size)
    else:
        _on_one_thread(what, size)


async def _in_nursery(what: str, count: int) -> None:
    async with (
        runtime.open_worker_pool(2, backend="threads", queue_capacity=count) as pool,
        trio.open_nursery() as nursery,
    ):
        for index in range(count):
            if what == "call":
                nursery.start_soon(pool.spawn_cpu_work, echo, index)
            else:
                nursery.start_soon(trio.lowlevel.checkpoint)


def _on_one_thread(what: str, size: int) -> None:
    registry = Registry(1)
    (worker,) = registry._workers  # noqa: SLF001  # never started: it has no thread

    def run(fn: Callable[[int], int], item: int) -> int:
        job = Job(fn, (item,), copy_context())
        registry.inject(job)
        assert worker.run_one()
        assert job.outcome is not None
        answer = job.outcome.unwrap()
        assert isinstance(answer, int)
        return answer

    if what == "submit":
        assert [run(echo, index) for index in range(size)] == list(range(size))
    else:
        assert run({"fork": fib_by_join, "plain": fib}[what], size) > 0


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
