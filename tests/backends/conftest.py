"""Pools of interpreters."""

import os

import pytest
import trio

from runtime._backends import why_unavailable


@pytest.fixture
def interpreters():
    """Skip where there is no interpreter backend."""
    reason = why_unavailable("interpreters")
    if reason is not None:
        pytest.skip(reason)


class Signals:
    """Two pipes that reach into any interpreter: ``entered`` and ``opened``."""

    def __init__(self):
        self._read_entered, self.entered = os.pipe()
        self.opened, self._write_opened = os.pipe()

    async def wait_entered(self):
        """Wait until a job says that it runs."""
        await trio.lowlevel.wait_readable(self._read_entered)
        os.read(self._read_entered, 1)

    def open(self):
        """Let one job go on."""
        os.write(self._write_opened, b"o")

    def close(self):
        for descriptor in (self._read_entered, self.entered, self._write_opened):
            os.close(descriptor)
        os.close(self.opened)


@pytest.fixture
def signals():
    signals = Signals()
    yield signals
    signals.close()
