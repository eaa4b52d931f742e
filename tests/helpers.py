"""What tests of several layers share."""

import os
import threading
import time
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing
from gates import TIMEOUT

# For a test, or all tests of a module, that cannot run on interpreters.
threads_only = pytest.mark.threads_only

# For a test that reaches into the Python core's own names.
white_box = pytest.mark.skipif(
    "__import__('runtime').lowlevel.core == 'native'",
    reason="looks inside the Python core; RUNTIME_CORE=python runs it",
)


def run_threaded(*functions):
    """Call each function in a thread of its own, all at once; return the results.

    A barrier holds the threads until all are there. An error in one of them is
    raised here.
    """
    barrier = threading.Barrier(len(functions))
    results = [None] * len(functions)
    errors = []

    def call(index, fn):
        try:
            barrier.wait(TIMEOUT)
            results[index] = fn()
        except BaseException as error:
            errors.append(error)

    threads = [
        threading.Thread(target=call, args=indexed) for indexed in enumerate(functions)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT)
        assert not thread.is_alive(), "a thread did not end"
    if errors:
        raise errors[0]
    return results


# What makes a coverage tool begin in a child process.
_coverage = {}


def keep_coverage_out_of_children():
    """Let children begin without the coverage tool that runs here; few can bear it.

    It begins in their interpreters, too, fails there and says so. A fork may copy its
    lock while it is held. It ends with the process, by `sys.settrace(None)` in each
    thread; a daemon thread that is in there stops the world for good on 3.13t.
    """
    name = "COVERAGE_PROCESS_CONFIG"
    if name in os.environ:
        _coverage[name] = os.environ.pop(name)


def environ_with_coverage():
    """Return the environment for a child whose lines are to be counted."""
    return {**os.environ, **_coverage}


def check_permitted(outcome, allowed):
    """Assert that the outcome of a race is one of those that are allowed."""
    assert outcome in allowed, f"{outcome!r} is none of {sorted(map(repr, allowed))}"


@asynccontextmanager
async def cancelled_after(wait, *, opens=None):
    """Cancel the block when ``await wait()`` returns; yield its cancel scope.

    If it ``opens`` a gate, it does so when the cancellation has had its effect, and
    the block must have waited for that.
    """

    async def cancel():
        await wait()
        scope.cancel()
        if opens is not None:
            await trio.testing.wait_all_tasks_blocked()
            opens.open()

    async with trio.open_nursery() as nursery:
        with trio.CancelScope() as scope:
            nursery.start_soon(cancel)
            yield scope
        assert opens is None or opens.is_open, "the block did not wait"


async def wait_until(condition):
    """Wait, in Trio, for a fact that no event announces."""
    deadline = time.monotonic() + TIMEOUT  # Trio's clock may be the test's, and stand
    while not condition():
        assert time.monotonic() < deadline, "it does not come true"
        await trio.lowlevel.checkpoint()
