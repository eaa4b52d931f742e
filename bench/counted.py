#!/usr/bin/env python3
"""Do something a given number of times, for a tool that counts instructions.

``counted.py fork NUMBER`` computes a Fibonacci number with a fork at every call,
``counted.py plain NUMBER`` without; ``counted.py submit COUNT`` submits jobs and runs
each. All of it happens on one thread: threads that wait for each other would make the
count depend on chance.
"""

import sys
from collections.abc import Callable
from contextvars import copy_context
from pathlib import Path

# At the end: an installed `runtime` comes before the checkout's.
sys.path.append(str(Path(__file__).resolve().parent.parent))

from bench.forks import fib, fib_by_join
from bench.work import echo
from runtime.lowlevel import Job, Registry


def main(what: str, size: int) -> None:
    """Run one of the three."""
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
