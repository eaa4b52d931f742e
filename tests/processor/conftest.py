"""Processors, and a handler whose requests say what to do."""

import pytest
from helpers import Gate

import runtime


def answer(request):
    """Answer a request: call it if it can be called, else give it back."""
    return request() if callable(request) else request


@pytest.fixture
def gate():
    """A gate that is open at the latest when the test ends."""
    gate = Gate()
    yield gate
    gate.open()


@pytest.fixture
async def pool():
    """A pool of two workers."""
    async with runtime.open_worker_pool(2, name="test") as pool:
        yield pool


@pytest.fixture
async def single():
    """A pool of one worker."""
    async with runtime.open_worker_pool(1, name="single") as pool:
        yield pool


@pytest.fixture
async def inline():
    """A pool whose jobs run in the Trio thread."""
    async with runtime.testing.inline_pool() as pool:
        yield pool


@pytest.fixture
def make(request):
    """Make a processor of `answer`; options are those of the configuration."""

    def make(pool, *, handler=answer, **options):
        named = {
            key: options.pop(key)
            for key in ("prepare", "finish", "takes_batch", "name")
            if key in options
        }
        config = runtime.ParallelConfig(**options)
        return runtime.ParallelProcessor(handler, config, pool=pool, **named)

    return make
