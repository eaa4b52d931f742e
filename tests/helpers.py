"""What tests of several layers share."""

import os
import threading
from contextlib import asynccontextmanager, contextmanager

import pytest
import trio
import trio.testing

# Longer than anything takes on a busy machine; nothing waits this long on purpose.
TIMEOUT = 30.0

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


def check_permitted(outcome, allowed):
    """Assert that the outcome of a race is one of those that are allowed."""
    assert outcome in allowed, f"{outcome!r} is none of {sorted(map(repr, allowed))}"


class Gate:
    """A job that stays inside a worker until it is let go."""

    def __init__(self):
        self.entered = threading.Event()
        self.opened = threading.Event()

    def hold(self, value=None):
        """Enter, wait for the gate to open, and return the value."""
        self.entered.set()
        assert self.opened.wait(TIMEOUT), "nobody opened the gate"
        return value

    def hold_while(self, check):
        """Enter, and call ``check()`` until it raises or the gate opens."""
        self.entered.set()
        while not self.opened.wait(0.001):
            check()

    def open(self):
        """Let the job go on."""
        self.opened.set()

    async def wait_entered(self):
        """Wait, in Trio, until the job runs."""
        assert await trio.to_thread.run_sync(self.entered.wait, TIMEOUT)


@contextmanager
def held():
    """Make a gate that is open at the latest when the block is left."""
    gate = Gate()
    try:
        yield gate
    finally:
        gate.open()


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
        assert opens is None or opens.opened.is_set(), "the block did not wait"


async def wait_until(condition):
    """Wait, in Trio, for a fact that no event announces."""
    with trio.fail_after(TIMEOUT):
        while not condition():
            await trio.lowlevel.checkpoint()


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
