"""What every test gets: a time limit, and a look at what it left behind."""

import functools
import gc
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


HAS_FAILED = pytest.StashKey[bool]()
# How many jobs earlier tests have left; each is to be told of only once.
KNOWN_JOBS = pytest.StashKey[int]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Note whether a test failed: its traceback keeps all it had."""
    has_failed = item.stash.get(HAS_FAILED, False) or call.excinfo is not None
    item.stash[HAS_FAILED] = has_failed
    return (yield)


@pytest.fixture(autouse=True)
def no_leaks(request):
    """Fail a test that leaves a worker's thread, a descriptor or a job behind.

    Errors in finalizers and in threads fail a test by way of pytest's own hooks,
    since warnings are errors here.
    """
    descriptors = descriptor_count()
    yield
    left = [t for t in threading.enumerate() if t.name.startswith("runtime-")]
    for thread in left:
        thread.join(TIMEOUT)  # it may be on its last instructions
    assert not [thread.name for thread in left if thread.is_alive()]
    request.node.funcargs.clear()  # fixtures have ended, but pytest keeps their values
    if descriptor_count() > descriptors:
        gc.collect()  # a cycle may hold a file, and another fixture's end may not
        assert descriptor_count() <= descriptors
    known = request.config.stash.get(KNOWN_JOBS, 0)
    left = len(living_jobs())
    if left > known:
        gc.collect()
        left = len(living_jobs())
    request.config.stash[KNOWN_JOBS] = left
    if not request.node.stash.get(HAS_FAILED, False):
        assert left <= known, living_jobs()


def living_jobs():
    """Return all jobs that something keeps; they have no slot for weak references."""
    core = sys.modules.get("runtime._core")
    if core is None:
        return []
    return [thing for thing in gc.get_objects() if issubclass(type(thing), core.Job)]


def descriptor_count():
    """Return how many descriptors the process has; 0 where nobody knows."""
    try:
        return len(os.listdir("/proc/self/fd"))
    except FileNotFoundError:
        return 0
