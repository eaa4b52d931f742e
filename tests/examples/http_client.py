"""A small HTTP/1.1 client on Trio: one connection, one request after the other.

It sees each byte that is sent, which a library would hide: how many requests were
answered, refused, or neither, is what the tests are about.
"""

from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

import trio

__all__ = ("Answer", "Connection", "connect", "post", "request_bytes")


class Answer(NamedTuple):
    """A response: status, headers by lower-case name, body."""

    status: int
    headers: dict
    body: bytes


class BrokenAnswerError(Exception):
    """The connection ended before the response did."""


class Connection:
    """One connection to the service."""

    def __init__(self, stream):
        self.stream = stream
        self._received = bytearray()

    async def ask(self, data):
        """Send a request as bytes and wait for its answer."""
        # The server may answer, and close, before it has taken all.
        with suppress(trio.BrokenResourceError):
            await self.stream.send_all(data)
        return await self.answer()

    async def answer(self):
        """Read one response that has a length or is chunked."""
        head = await self._until(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        status = int(first.split()[1])
        if headers.get("transfer-encoding") == "chunked":
            body = bytearray()
            while size := int(await self._until(b"\r\n"), 16):
                body += await self._exactly(size)
                await self._exactly(2)
            await self._exactly(2)
        else:
            body = await self._exactly(int(headers.get("content-length", 0)))
        return Answer(status, headers, bytes(body))

    async def until(self, mark):
        """Read up to a mark and return what stood before it."""
        return await self._until(mark)

    async def _until(self, mark):
        while mark not in self._received:
            await self._more()
        found, _, rest = bytes(self._received).partition(mark)
        self._received[:] = rest
        return found

    async def _exactly(self, size):
        while len(self._received) < size:
            await self._more()
        found = bytes(self._received[:size])
        del self._received[:size]
        return found

    async def _more(self):
        data = await self.stream.receive_some()
        if not data:
            raise BrokenAnswerError
        self._received += data


@asynccontextmanager
async def connect(port):
    """Open a connection to the service on this machine."""
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    async with stream:
        yield Connection(stream)


def request_bytes(method, path, body=b"", **headers):
    """Make a request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost"]
    lines += [f"{k.replace('_', '-')}: {v}" for k, v in headers.items()]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def post(body, content_type="text/plain"):
    """Make a request to score a text."""
    return request_bytes("POST", "/score", body, Content_Type=content_type)
