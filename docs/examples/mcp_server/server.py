"""An MCP server whose tools run on all cores: ``python server.py``, over stdio.

A tool call is a job of the server's pool. What the job tells of its progress goes to
the client as progress notifications, and a client's cancellation ends the job.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
from mcp.server.fastmcp import Context, FastMCP
from primes import primes_below, tell

import runtime


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
    tell.set(ctx.report_progress)
    return await pool.spawn_cpu_work(primes_below, limit)


@server.tool()
async def jobs(ctx: Context) -> dict[str, int]:
    """Tell how many jobs run, and how many have ended."""
    statistics = ctx.request_context.lifespan_context.statistics()
    return {
        "running": statistics.running,
        "completed": statistics.jobs_completed,
        "failed": statistics.jobs_failed,
    }


if __name__ == "__main__":
    trio.run(server.run_stdio_async)
