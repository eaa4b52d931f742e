"""Each test runs on each backend; jobs are in `backend_jobs`."""

import os

import pytest
import trio

import runtime
from runtime._backends import BACKENDS, why_unavailable


@pytest.fixture(params=BACKENDS)
def backend(request):
    reason = why_unavailable(request.param)
    if reason is not None:
        pytest.skip(reason)
    return request.param


@pytest.fixture
def interpreters():
    """Skip where there is no interpreter backend."""
    reason = why_unavailable("interpreters")
    if reason is not None:
        pytest.skip(reason)


@pytest.fixture
async def pool(backend):
    """A pool of two workers."""
    async with runtime.open_worker_pool(2, backend=backend, name="test") as pool:
        yield pool


@pytest.fixture
async def single(backend):
    """A pool of one worker."""
    async with runtime.open_worker_pool(1, backend=backend, name="single") as pool:
        yield pool


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
