"""What every test gets: a time limit, and a look at what it left behind."""

import functools
import gc
import inspect
import math
import os
import sys
import threading
import time
from contextlib import ExitStack
from functools import partial

import pytest
import trio
from gates import TIMEOUT, Gate, Record
from helpers import keep_coverage_out_of_children

# What "auto" means in tests: most use functions and objects that cannot cross to an
# interpreter. Those of what every backend promises name it, by the fixtures below.
os.environ["RUNTIME_BACKEND"] = "threads"


def pytest_configure(config):
    """Set the environment of children; refuse to test another build than was asked."""
    keep_coverage_out_of_children()
    expected = os.environ.get("RUNTIME_EXPECT_GIL")
    if expected is not None and sys._is_gil_enabled() != (expected == "1"):
        raise pytest.UsageError(
            f"RUNTIME_EXPECT_GIL={expected}, but the GIL is "
            f"{'on' if sys._is_gil_enabled() else 'off'} in {sys.executable}"
        )


def pytest_collection_modifyitems(items):
    """Leave out what is for threads only, and give every async test a time limit."""
    items[:] = [item for item in items if not is_left_out(item)]
    for item in items:
        if inspect.iscoroutinefunction(getattr(item, "obj", None)):
            item.fixturenames.append("time_limit")
            item.obj = open_gates(refuse_stray_cancelled(item.obj))


def is_left_out(item):
    """Tell whether a test cannot run on the backend that it was given."""
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    is_of_threads = item.get_closest_marker("threads_only") is not None
    return is_of_threads and parameters.get("backend", "threads") != "threads"


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


def open_gates(test):
    """Open a test's gates at its end, for its pools wait for who is inside."""

    @functools.wraps(test)
    async def opening(**fixtures):
        with ExitStack() as gates:
            for value in fixtures.values():
                if isinstance(value, Gate):
                    gates.enter_context(value)
            await test(**fixtures)

    return opening


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
# How long a worker may take to drop a job whose answer is there, in seconds.
PATIENCE = 3.0
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

    Yields:
      A stack of what to close when the test's threads have ended.
    """
    descriptors = descriptor_count()
    closed_at_the_end = ExitStack()
    yield closed_at_the_end
    left = [t for t in threading.enumerate() if t.name.startswith("runtime-")]
    for thread in left:
        thread.join(TIMEOUT)  # it may be on its last instructions
    assert not [thread.name for thread in left if thread.is_alive()]
    closed_at_the_end.close()
    request.node.funcargs.clear()  # fixtures have ended, but pytest keeps their values
    has_failed = request.node.stash.get(HAS_FAILED, False)
    for _ in range(5):  # some memory returns only when its thread runs again
        if descriptor_count() <= descriptors:
            break
        gc.collect()  # a cycle may hold a file, and another fixture's end may not
    assert has_failed or descriptor_count() <= descriptors
    known = request.config.stash.get(KNOWN_JOBS, 0)
    left = len(living_jobs())
    deadline = time.monotonic() + PATIENCE
    while left > known and time.monotonic() < deadline:
        gc.collect()
        time.sleep(0)  # a worker of a pool that is open may be leaving a job
        left = len(living_jobs())
    request.config.stash[KNOWN_JOBS] = left
    if not has_failed:
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


@pytest.fixture
def fresh_interpreters():
    """Have the test's pools begin with interpreters of their own."""
    import runtime

    runtime.testing.end_kept_interpreters()


# Pools, and what says how far a job has come


def skip_if_unavailable(backend):
    """Skip the test where a backend is not there, and say why."""
    from runtime import _backends  # not every test is of the package

    reason = _backends.why_unavailable(backend)
    if reason is not None:
        pytest.skip(reason)


@pytest.fixture(params=["threads", "interpreters"])
def backend(request):
    """Each backend in turn; with `threads_only` the one."""
    skip_if_unavailable(request.param)
    return request.param


@pytest.fixture
def interpreters():
    """The name of that backend; skips where it is not there."""
    skip_if_unavailable("interpreters")
    return "interpreters"


@pytest.fixture
def open_pool(backend):
    """`open_worker_pool` on the test's backend."""
    import runtime

    return partial(runtime.open_worker_pool, backend=backend)


@pytest.fixture
async def pool(open_pool):
    """A pool of two workers."""
    async with open_pool(2, name="test") as pool:
        yield pool


@pytest.fixture
async def single(open_pool):
    """A pool of one worker."""
    async with open_pool(1, name="single") as pool:
        yield pool


@pytest.fixture
async def inline():
    """A pool whose jobs run in the Trio thread."""
    import runtime

    async with runtime.testing.inline_pool() as pool:
        yield pool


@pytest.fixture
def make_gate(no_leaks):
    """Make gates; they are open when the test ends."""
    gates = []

    def make_gate():
        gates.append(Gate())
        no_leaks.callback(gates[-1].close)
        return gates[-1]

    yield make_gate
    for gate in gates:
        gate.open()


@pytest.fixture
def gate(make_gate):
    """A gate that is open at the latest when the test ends."""
    return make_gate()


@pytest.fixture
def calls(no_leaks):
    """A list for jobs of any backend."""
    calls = Record()
    no_leaks.callback(calls.close)
    return calls
