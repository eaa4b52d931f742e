"""Load for an HTTP service on this machine: a server process, and its clients."""

import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import trio

from .harness import WrongAnswerError

__all__ = ("Connection", "connected", "open_server")

ROOT = str(Path(__file__).parents[1])


@asynccontextmanager
async def open_server(program: Path, *options: str) -> AsyncIterator[int]:
    """Run a program that prints "serving on ...:PORT"; yield the port."""
    environment = dict(os.environ)
    environment["PYTHONPATH"] = os.pathsep.join(
        filter(None, [environment.get("PYTHONPATH"), ROOT])
    )
    async with trio.open_nursery() as nursery:
        process: trio.Process = await nursery.start(
            partial(
                trio.run_process,
                [sys.executable, "-u", str(program), *options],
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                stdin=subprocess.DEVNULL,
                env=environment,
                check=False,
            )
        )
        assert process.stdout is not None
        seen = b""
        while not (found := re.search(rb"serving on \S+:(\d+)\n", seen)):
            data = await process.stdout.receive_some()
            if not data:
                raise WrongAnswerError(f"{program.name} did not start")
            seen += data
        try:
            yield int(found[1])
        finally:
            process.terminate()


class Connection:
    """One connection that is kept, for answers that have a length."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._received = b""

    async def ask(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        """Make a request; return status and body."""
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n"
            f"Content-Type: text/plain\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        await self._stream.send_all(head.encode() + body)
        while b"\r\n\r\n" not in self._received:
            await self._more()
        answer_head, _, rest = self._received.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", answer_head)
        if length is None:
            raise WrongAnswerError("an answer without a length")
        self._received = rest
        while len(self._received) < int(length[1]):
            await self._more()
        body = self._received[: int(length[1])]
        self._received = self._received[int(length[1]) :]
        return int(answer_head.split()[1]), body

    async def _more(self) -> None:
        data = await self._stream.receive_some()
        if not data:
            raise WrongAnswerError("the service closed the connection")
        self._received += data


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[Connection]:
    """Open a connection to the service."""
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        yield Connection(stream)
