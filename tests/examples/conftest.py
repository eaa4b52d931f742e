"""The example programs, started as a user starts them."""

import re
import signal
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from helpers import TIMEOUT

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
sys.path.append(str(Path(__file__).parent))


class Service:
    """The HTTP service as a process of its own."""

    def __init__(self, process, port):
        self.process, self.port = process, port
        self.closed = None

    def terminate(self):
        """Ask it to end in good order."""
        self.process.send_signal(signal.SIGTERM)

    async def wait_closed(self):
        """Wait for its end; return what it counted."""
        last = b""
        with trio.fail_after(TIMEOUT):
            async for data in self.process.stdout:
                last += data
            await self.process.wait()
        assert self.process.returncode == 0
        line = re.search(rb"closed: (.*)\n", last)[1].decode()
        self.closed = {what: int(n) for n, what in re.findall(r"(\d+) (\w+)", line)}
        return self.closed


@pytest.fixture
def open_service():
    """Start the HTTP service for the length of a block."""

    @asynccontextmanager
    async def open_service(*options):
        async with trio.open_nursery() as nursery:
            process = await nursery.start(
                lambda task_status: trio.run_process(  # noqa: ASYNC105  # start awaits
                    [sys.executable, "-u", "serve.py", "--port", "0", *options],
                    cwd=EXAMPLES / "http_service",
                    stdout=subprocess.PIPE,
                    stdin=subprocess.DEVNULL,
                    capture_stdout=False,
                    check=False,
                    task_status=task_status,
                )
            )
            seen = b""
            with trio.fail_after(TIMEOUT):
                while not (found := re.search(rb"serving on \S+:(\d+)\n", seen)):
                    data = await process.stdout.receive_some()
                    assert data, "the service did not start"
                    seen += data
            service = Service(process, int(found[1]))
            try:
                yield service
            finally:
                with trio.CancelScope(shield=True):
                    if process.returncode is None and service.closed is None:
                        service.terminate()
                        await service.wait_closed()

    return open_service
