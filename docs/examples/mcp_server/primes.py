"""The work of the tools, in a module of its own.

Where the pool's workers are interpreters, each imports this module; what the server
imports, some of which refuses interpreters, stays with the server.
"""

import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar

import runtime

__all__ = ("primes_below", "tell")

REPORT_EVERY = 0.05  # seconds between two progress notifications

# Whom to tell of the progress. The value stays in Trio: it need not cross.
tell: ContextVar[Callable[[float, float], Awaitable[None]]] = ContextVar("tell")


async def report(done: float, total: float) -> None:
    """Tell of the progress; in Trio, in the task that waits for the job."""
    await tell.get()(done, total)


def primes_below(limit: int) -> int:
    """Count primes by trial division, and tell now and then how far it came."""
    if limit < 0:
        raise ValueError("the limit must not be negative")
    count = 0
    reported_at = time.monotonic()
    for number in range(2, limit):
        runtime.check_cancelled()
        divisor = 2
        while divisor * divisor <= number and number % divisor:
            divisor += 1
        count += divisor * divisor > number
        if time.monotonic() - reported_at > REPORT_EVERY:
            runtime.from_worker.run(report, number, limit)
            reported_at = time.monotonic()
    return count
