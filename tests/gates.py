"""What a test and its jobs say to each other, whatever backend the jobs run on.

Both classes are made of pipes, for a descriptor means the same in every interpreter of
the process; a copy inside has the same pipes. What is imported here, each interpreter
that runs such a job imports too, so it is little.
"""

import os
import select
from functools import partial
from types import SimpleNamespace

__all__ = ("TIMEOUT", "Gate", "Record")

# Longer than anything takes on a busy machine; nothing waits this long on purpose.
TIMEOUT = 30.0


class Gate:
    """A job that stays inside a worker until it is let go.

    As a context manager it is open at the latest when the block is left.
    """

    def __init__(self):
        self._arrivals, self._entrance = os.pipe()
        self._exit, self._bolt = os.pipe()  # open: the exit is at its end of file
        self.is_open = False  # at home

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        self.open()

    # In a job

    def enter(self):
        """Say that the job runs."""
        os.write(self._entrance, b"x")

    def passes(self, timeout=0.0):
        """Tell whether the gate is open, at once or within some seconds."""
        return bool(select.select([self._exit], [], [], timeout)[0])

    def hold(self, value=None):
        """Enter, wait for the gate to open, and return the value."""
        self.enter()
        assert self.passes(TIMEOUT), "nobody opened the gate"
        return value

    def hold_in_c(self):
        """Enter and wait in one call into C, so that nobody sees it in between."""
        # ``select`` asks for the descriptor: to enter returns the number of bytes.
        fileno = partial(os.write, self._entrance, b"x" * self._exit)
        select.select([SimpleNamespace(fileno=fileno)], [], [], TIMEOUT)

    def hold_while(self, check):
        """Enter, and call ``check()`` until it raises or the gate opens."""
        self.enter()
        while not self.passes(0.001):
            check()

    # In the test

    def open(self):
        """Let go who is inside, and who comes later."""
        if not self.is_open:
            self.is_open = True
            os.close(self._bolt)

    def block_until_entered(self):
        """Wait, in a thread, until somebody has entered."""
        assert select.select([self._arrivals], [], [], TIMEOUT)[0], "nobody entered"

    async def wait_entered(self):
        """Wait, in Trio, until somebody has entered."""
        from trio.lowlevel import wait_readable  # no job should import it

        own = os.dup(self._arrivals)  # Trio lets one task wait for each descriptor
        try:
            await wait_readable(own)
        finally:
            os.close(own)

    def close(self):
        """Give the pipes back, when no job uses them any more."""
        self.open()
        for descriptor in (self._arrivals, self._entrance, self._exit):
            os.close(descriptor)


class Record:
    """A list that jobs append to and the test reads."""

    def __init__(self):
        self._reader, self._writer = os.pipe()
        self._things = []  # at home
        self._unread = b""

    def append(self, thing):
        """Note something that its ``repr()`` is enough for; in a job or in the test."""
        os.write(self._writer, f"{thing!r}\n".encode())

    def __iter__(self):
        """Iterate over what was noted so far, in its order."""
        from ast import literal_eval  # no job should import it

        while select.select([self._reader], [], [], 0)[0]:
            self._unread += os.read(self._reader, 65536)
        *lines, self._unread = self._unread.split(b"\n")
        self._things += [literal_eval(line.decode()) for line in lines]
        return iter(self._things)

    def close(self):
        """Give the pipe back, when no job uses it any more."""
        os.close(self._reader)
        os.close(self._writer)
