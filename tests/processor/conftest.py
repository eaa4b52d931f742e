"""Processors, and a handler whose requests say what to do."""

import pytest

import runtime


def answer(request):
    """Answer a request: call it if it can be called, else give it back."""
    return request() if callable(request) else request


@pytest.fixture
def backend():
    """Requests say what to do by functions that cannot cross to an interpreter."""
    return "threads"


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
