"""Read input as it comes, in chunks of whole items.

Nothing here blocks the Trio loop: a pipe or a terminal is waited for and then
read, a file on disk is read in a helper thread. A chunk holds what one read
brought, so a slow producer's items go on at once and a fast one's go on many at
a time; memory is one chunk, whatever the length of the input.

Layer: cli.
"""

import os
import stat
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import NamedTuple

import trio

from .codec import LINES, PATHS, Codec
from .exits import CommandError

__all__ = ("STDIN", "Chunk", "check_files", "read_lines", "read_paths", "total_bytes")

STDIN = "-"
_READ_BYTES = 128 * 1024  # measured: larger reads were no faster
_LONGEST_ITEM_BYTES = 64 * 1024 * 1024  # arbitrary; ends input that has no line breaks


class Chunk(NamedTuple):
    """Whole items from one source, separators included."""

    source: str
    """Name for messages; empty where the items are names themselves."""
    first_line: int
    data: bytes


def check_files(paths: Sequence[str]) -> None:
    """Refuse input files that cannot be read, before any work begins.

    Raises:
      CommandError: names the first such file and says what is wrong with it.
    """
    for path in paths:
        try:
            mode = os.stat(0 if path == STDIN else path).st_mode
        except OSError as error:
            raise _cannot_read(_source(path), error) from None
        if stat.S_ISDIR(mode):
            raise CommandError(f"cannot read {path}: it is a directory")
        if path != STDIN and not os.access(path, os.R_OK):
            raise CommandError(f"cannot read {path}: Permission denied")


def total_bytes(paths: Sequence[str]) -> int | None:
    """Return the length of all input, None where it cannot be known."""
    total = 0
    for path in paths:
        status = os.stat(0 if path == STDIN else path)
        if not stat.S_ISREG(status.st_mode):
            return None
        total += status.st_size
    return total


async def read_paths(paths: Sequence[str]) -> AsyncGenerator[Chunk]:
    """Yield the paths themselves as items."""
    ended = [os.fsencode(path) + PATHS.separator for path in paths]
    if ended:
        yield Chunk("", 1, b"".join(ended))


async def read_lines(
    paths: Sequence[str], codec: Codec = LINES
) -> AsyncGenerator[Chunk]:
    """Yield the lines of all files, or other items, one file after the other.

    Raises:
      CommandError: a file could not be read to its end.
    """
    for path in paths:
        source = _source(path)
        line = 1
        try:
            async with aclosing(_whole_items(path, codec.separator)) as pieces:
                async for data in pieces:
                    yield Chunk(source, line, data)
                    line += data.count(codec.separator)
        except OSError as error:
            raise _cannot_read(source, error) from None
        except _TooLongError:
            limit = _LONGEST_ITEM_BYTES // 2**20
            raise CommandError(f"{source}:{line}: longer than {limit} MiB") from None


class _TooLongError(Exception):
    """A line is longer than we keep in memory."""


async def _whole_items(path: str, separator: bytes) -> AsyncGenerator[bytes]:
    unfinished: list[bytes] = []
    async with aclosing(_read_as_it_comes(path)) as reads:
        async for data in reads:
            end = data.rfind(separator) + 1
            if end:
                yield b"".join([*unfinished, data[:end]])
                unfinished = []
            unfinished.append(data[end:])
            if sum(map(len, unfinished)) > _LONGEST_ITEM_BYTES:
                raise _TooLongError
    if last := b"".join(unfinished):
        yield last


async def _read_as_it_comes(path: str) -> AsyncGenerator[bytes]:
    fd = await _open(path)
    try:
        can_wait = _can_wait_for(fd)
        while True:
            if can_wait:
                await trio.lowlevel.wait_readable(fd)
                data = os.read(fd, _READ_BYTES)
            else:
                data = await trio.to_thread.run_sync(os.read, fd, _READ_BYTES)
            if not data:
                return
            yield data
    finally:
        if path != STDIN:
            os.close(fd)


async def _open(path: str) -> int:
    if path == STDIN:
        return 0
    # In a thread that may be left behind: opening a named pipe waits for a writer.
    return await trio.to_thread.run_sync(
        os.open, path, os.O_RDONLY | os.O_CLOEXEC, abandon_on_cancel=True
    )


def _can_wait_for(fd: int) -> bool:
    """Return whether the kernel can tell when this descriptor has data."""
    mode = os.fstat(fd).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(fd)


def _source(path: str) -> str:
    return "stdin" if path == STDIN else path


def _cannot_read(source: str, error: OSError) -> CommandError:
    return CommandError(f"cannot read {source}: {error.strerror or error}")
