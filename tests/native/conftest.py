"""Both cores side by side, and jobs one can wait for."""

import contextvars
import types

import hypothesis
import pytest
from helpers import TIMEOUT

from runtime._core import deque, injector, job, latch, parker, registry, worker
from runtime._core.join import join

hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")

PYTHON = types.SimpleNamespace(
    __name__="python",
    **{
        name: getattr(module, name)
        for module in (deque, injector, job, latch, parker, registry, worker)
        for name in module.__all__
    },
    join=join,
)
try:
    from runtime._native import scheduler as NATIVE
except ImportError:  # built without a compiler
    NATIVE = None

CORES = {"python": PYTHON, "native": NATIVE}


def core_named(name):
    if CORES[name] is None:
        pytest.skip("the native core was not built")
    return CORES[name]


@pytest.fixture(scope="session")
def both():
    """The two cores, or a skip."""
    return [core_named(name) for name in CORES]


@pytest.fixture(scope="session")
def native():
    return core_named("native")


@pytest.fixture(params=CORES)
def core(request):
    return core_named(request.param)


class Pool:
    """A started registry of one core."""

    def __init__(self, core, worker_count=2, **options):
        self.core = core
        self.registry = core.Registry(worker_count, **options)
        self.registry.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.registry.stop()
        self.registry.join()

    def make(self, fn, *args, lane=1):
        """Return a job and the latch that is set when it leaves the scheduler."""
        left = self.core.Latch()
        context = contextvars.copy_context()
        return self.core.Job(fn, args, context, sink=left.set, lane=lane), left

    def run(self, fn, *args):
        """Run one job; return its value or raise its error."""
        made, left = self.make(fn, *args)
        self.registry.inject(made)
        assert left.wait(TIMEOUT), "the job has not left the scheduler"
        outcome, made.outcome = made.outcome, None
        return outcome.unwrap()


@pytest.fixture
def open_pool(core):
    return lambda *args, **options: Pool(core, *args, **options)


@pytest.fixture
def native_pool(native):
    """A pool of two native workers."""
    with Pool(native) as pool:
        yield pool
