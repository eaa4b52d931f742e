"""Write results to where standard output went, without blocking the Trio loop.

Layer: cli.
"""

import os
import select
import stat

import trio

from .console import cannot_write

__all__ = ("ClosedOutputError", "ResultWriter")


class ClosedOutputError(Exception):
    """Nobody reads the results any more, as after ``| head``."""


class ResultWriter:
    """Writes bytes to a descriptor, in the order given.

    A reader that is slow makes `write` wait, and with it, through the bound on
    items in flight, the whole command.

    Thread safety: externally synchronized; used by one Trio task at a time.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        mode = os.fstat(descriptor).st_mode
        self._can_fill = stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)
        self.is_terminal = os.isatty(descriptor)

    async def write(self, data: bytes) -> None:
        """Write all of ``data``.

        Raises:
          ClosedOutputError: nobody reads any more.
          CommandError: it takes no more, for another reason.
        """
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[await self._write_some(rest) :]
        except BrokenPipeError:
            raise ClosedOutputError from None
        except OSError as error:
            raise cannot_write(error) from None

    async def _write_some(self, data: memoryview) -> int:
        if not (self._can_fill or self.is_terminal):
            return os.write(self._descriptor, data)
        await trio.lowlevel.wait_writable(self._descriptor)
        # Writable means: this much fits and the write does not wait.
        return os.write(self._descriptor, data[: select.PIPE_BUF])
