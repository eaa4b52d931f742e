"""Sync pools, and chains that are split as often as can be."""

import linecache
import signal
import sys
import threading
from contextlib import contextmanager

import hypothesis
import pytest

import runtime
import runtime._iter.bridge
import runtime._iter.drive

# No test measures time: the machine may be busy with something else.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")

DRIVE = sys.modules["runtime._iter.drive"]
BRIDGE = sys.modules["runtime._iter.bridge"]


@contextmanager
def splitting_eagerly(split_ns=0, leaf_ns=1, combines=True):
    """Have chains split down to single items, whatever they cost.

    With `combines` each of the halves has a total of its own, stolen or not.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name in ("LONG_LEAF_NS", "SHORT_LEAF_NS", "FIRST_LEAF_NS"):
            patch.setattr(DRIVE, name, leaf_ns)
        for module, part in ((DRIVE, "_Piece"), (BRIDGE, "_Puller")):
            patch.setattr(module, "SPLIT_NS", split_ns)
            if combines:
                patch.setattr(getattr(module, part), "goes_on", lambda *_: False)
        yield


class Interrupt:
    """Ctrl-C for the main thread, once it is inside a wait of a sync pool.

    Anywhere else an error that a signal's handler raises may leave before the runtime
    has seen it, which is Python's way and not what tests are about.
    """

    def __init__(self):
        self._is_raised = threading.Event()

    def send(self):
        """Send signals until one has come at the right time; from a worker."""
        while not self._is_raised.wait(0.01):
            signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR1)

    def handle(self, _number, frame):
        while frame is not None:
            line = linecache.getline(frame.f_code.co_filename, frame.f_lineno)
            if "(SIGNAL_STEP)" in line and not self._is_raised.is_set():
                self._is_raised.set()
                raise KeyboardInterrupt
            frame = frame.f_back


@pytest.fixture
def interrupt():
    """A signal that interrupts the main thread's wait for a sync pool."""
    interrupt = Interrupt()
    before = signal.signal(signal.SIGUSR1, interrupt.handle)
    yield interrupt
    signal.signal(signal.SIGUSR1, before)


@pytest.fixture
def eager():
    """A context manager: chains split down to single items, whatever they cost."""
    return splitting_eagerly


@pytest.fixture
def splitting():
    """Let every chain of the test split whenever it can."""
    with splitting_eagerly():
        yield


@pytest.fixture(params=[1, 2, 4])
def sync_pool(request):
    """A sync pool of one, two or four workers, and its block."""
    with runtime.open_sync_pool(request.param, name="test") as pool:
        yield pool


@pytest.fixture
def pair():
    """A sync pool of two workers, and its block."""
    with runtime.open_sync_pool(2, name="test") as pool:
        yield pool
