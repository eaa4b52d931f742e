"""An MCP server whose tools run on all cores: ``python server.py``, over stdio.

A tool call is a job of the server's pool. What the job tells of its progress goes to
the client as progress notifications, and a client's cancellation ends the job.
"""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

import trio
from mcp.server.fastmcp import Context, FastMCP

import runtime

REPORT_EVERY = 0.05  # seconds between two progress notifications


@asynccontextmanager
async def open_pool(_server: FastMCP) -> AsyncIterator[runtime.WorkerPool]:
    """Keep a pool open for as long as the server runs."""
    async with runtime.open_worker_pool(name="tools") as pool:
        yield pool


server = FastMCP("cores", lifespan=open_pool, log_level="WARNING")


@server.tool()
async def count_primes(limit: int, ctx: Context) -> int:
    """Count the prime numbers below a limit."""
    pool = ctx.request_context.lifespan_context
    report = partial(runtime.from_worker.run, ctx.report_progress)
    return await pool.spawn_cpu_work(primes_below, limit, report)


@server.tool()
async def jobs(ctx: Context) -> dict[str, int]:
    """Tell how many jobs run, and how many have ended."""
    statistics = ctx.request_context.lifespan_context.statistics()
    return {
        "running": statistics.running,
        "completed": statistics.jobs_completed,
        "failed": statistics.jobs_failed,
    }


def primes_below(limit: int, report: Callable[[float, float], None]) -> int:
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
            report(number, limit)
            reported_at = time.monotonic()
    return count


if __name__ == "__main__":
    trio.run(server.run_stdio_async)
