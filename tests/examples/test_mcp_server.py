"""The MCP server, driven by the SDK's own client over a pipe."""

import os
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

pytest.importorskip("mcp")

import anyio
from mcp import ClientSession, McpError, StdioServerParameters, types
from mcp.client.stdio import stdio_client

pytestmark = pytest.mark.slow  # starts a process

SERVER = Path(__file__).parents[2] / "docs/examples/mcp_server/server.py"


@asynccontextmanager
async def open_session():
    """Start the server, and a client that talks to it."""
    environ = dict(os.environ)
    del environ["RUNTIME_BACKEND"]  # as a user starts it: with a GIL, on interpreters
    parameters = StdioServerParameters(
        command=sys.executable, args=[str(SERVER)], env=environ
    )
    try:
        async with (
            stdio_client(parameters) as (read, write),
            ClientSession(read, write) as session,
        ):
            await session.initialize()
            yield session
    except* anyio.BrokenResourceError:
        pass  # the client breaks at a message that comes while it closes


async def test_tools_are_listed_with_their_arguments():
    async with open_session() as session:
        tools = {tool.name: tool for tool in (await session.list_tools()).tools}
    assert set(tools) == {"count_primes", "jobs"}
    assert set(tools["count_primes"].inputSchema["properties"]) == {"limit"}


async def test_tool_runs_on_the_pool():
    async with open_session() as session:
        result = await session.call_tool("count_primes", {"limit": 100})
        assert result.structuredContent == {"result": 25}
        assert (await jobs(session))["completed"] == 1


async def jobs(session):
    return (await session.call_tool("jobs", {})).structuredContent


@pytest.mark.parametrize("arguments", [{"limit": -1}, {"limit": "many"}, {}])
async def test_bad_arguments_are_an_error_of_that_call(arguments):
    async with open_session() as session:
        result = await session.call_tool("count_primes", arguments)
        assert result.isError
        result = await session.call_tool("count_primes", {"limit": 10})
        assert result.structuredContent == {"result": 4}


async def test_progress_and_cancellation_reach_the_job():
    """1. The job runs: its progress arrives. 2. The client cancels. 3. The job ends.

    Left alone it would take years.
    """
    running = trio.Event()
    told = []

    async def note(progress, total, _message):
        told.append((progress, total))
        running.set()

    async with open_session() as session, trio.open_nursery() as nursery:

        async def call():
            with pytest.raises(McpError, match="cancelled"):
                await session.call_tool(
                    "count_primes", {"limit": 10**12}, progress_callback=note
                )

        request_id = session._request_id
        nursery.start_soon(call)
        await running.wait()
        assert (await jobs(session))["running"] == 1
        cancelled = types.CancelledNotification(
            params=types.CancelledNotificationParams(requestId=request_id)
        )
        await session.send_notification(types.ClientNotification(cancelled))
        while (now := await jobs(session))["failed"] == 0:
            pass  # it is counted a moment after it has ended
        assert now["running"] == 0
    assert told
    assert all(0 < progress < total == 10**12 for progress, total in told)


async def test_two_calls_run_at_the_same_time():
    reports = {1: trio.Event(), 2: trio.Event()}

    async with open_session() as session, trio.open_nursery() as nursery:

        async def call(number):
            async def note(_progress, _total, _message):
                reports[number].set()

            await session.call_tool(
                "count_primes", {"limit": 10**12}, progress_callback=note
            )

        for number in reports:
            nursery.start_soon(call, number)
        for event in reports.values():
            await event.wait()
        nursery.cancel_scope.cancel()
