"""Each test runs on each backend; jobs are in `backend_jobs`."""

import pytest
from helpers import Signals

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


@pytest.fixture
def signals():
    signals = Signals()
    yield signals
    signals.close()
