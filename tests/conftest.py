"""What every test gets: a time limit, and a look at what it left behind."""

import functools
import inspect
import math
import os
import sys
import threading

import pytest
import trio
from helpers import TIMEOUT

# What "auto" means in tests: most use functions and objects that cannot cross to an
# interpreter. tests/backends names its backends.
os.environ["RUNTIME_BACKEND"] = "threads"


def pytest_configure(config):
    """Refuse to test something else than what tox says is tested."""
    expected = os.environ.get("RUNTIME_EXPECT_GIL")
    if expected is not None and sys._is_gil_enabled() != (expected == "1"):
        raise pytest.UsageError(
            f"RUNTIME_EXPECT_GIL={expected}, but the GIL is "
            f"{'on' if sys._is_gil_enabled() else 'off'} in {sys.executable}"
        )


def pytest_collection_modifyitems(items):
    """Give every async test a time limit."""
    for item in items:
        if inspect.iscoroutinefunction(getattr(item, "obj", None)):
            item.fixturenames.append("time_limit")
            item.obj = refuse_stray_cancelled(item.obj)


def refuse_stray_cancelled(test):
    """Fail a test that a `trio.Cancelled` leaves; pytest-trio would swallow it."""

    @functools.wraps(test)
    async def checked(**fixtures):
        try:
            await test(**fixtures)
        except trio.Cancelled as error:
            if trio.current_effective_deadline() == -math.inf:
                raise  # the time limit, or a fixture that failed
            raise AssertionError("the test's scope was not cancelled") from error

    return checked


@pytest.fixture
async def time_limit():
    """Fail a test that takes too long, instead of hanging with it."""

    async def watch():
        await trio.sleep(TIMEOUT)
        raise TimeoutError(f"the test took more than {TIMEOUT} s")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        yield
        nursery.cancel_scope.cancel()


@pytest.fixture(autouse=True)
def no_leaks():
    """Fail a test that leaves a worker's thread behind.

    Errors in finalizers and in threads fail a test by way of pytest's own hooks,
    since warnings are errors here.
    """
    yield
    left = [t for t in threading.enumerate() if t.name.startswith("runtime-")]
    for thread in left:
        thread.join(TIMEOUT)  # it may be on its last instructions
    assert not [thread.name for thread in left if thread.is_alive()]
