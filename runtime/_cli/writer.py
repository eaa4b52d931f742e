"""Write results to standard output without blocking the Trio loop.

Layer: cli. Imports: trio.
"""

import os
import select
import stat

import trio

from .console import discard_stdout
from .exits import CommandError

__all__ = ("ClosedOutputError", "ResultWriter")

_STDOUT = 1


class ClosedOutputError(Exception):
    """Nobody reads standard output any more, as after ``| head``."""


class ResultWriter:
    """Writes bytes to standard output, in the order given.

    A reader that is slow makes `write` wait, and with it, through the bound on
    items in flight, the whole command.

    Thread safety: externally synchronized; used by one Trio task at a time.
    """

    def __init__(self) -> None:
        try:
            mode = os.fstat(_STDOUT).st_mode
        except OSError as error:
            raise _cannot_write(error) from None
        self._can_fill = stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)
        self.is_terminal = os.isatty(_STDOUT)

    async def write(self, data: bytes) -> None:
        """Write all of ``data``.

        Raises:
          ClosedOutputError: nobody reads any more.
          CommandError: standard output takes no more, for another reason.
        """
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[await self._write_some(rest) :]
        except BrokenPipeError:
            discard_stdout()
            raise ClosedOutputError from None
        except OSError as error:
            raise _cannot_write(error) from None

    async def _write_some(self, data: memoryview) -> int:
        if not (self._can_fill or self.is_terminal):
            return os.write(_STDOUT, data)
        await trio.lowlevel.wait_writable(_STDOUT)
        # Writable means: this much fits and the write does not wait.
        return os.write(_STDOUT, data[: select.PIPE_BUF])


def _cannot_write(error: OSError) -> CommandError:
    return CommandError(f"cannot write results: {error.strerror or error}")
