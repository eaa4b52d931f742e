"""Registries that end with their test, and jobs one can wait for."""

import contextvars
import os
import time

import hypothesis
import pytest
from helpers import TIMEOUT

from runtime._core.job import Job
from runtime._core.latch import Latch
from runtime._core.registry import Registry

# No test measures time: the machine may be busy with something else.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")


class Call:
    """A job together with the latch that is set when it leaves the scheduler."""

    def __init__(self, fn, args, context=None, lane=1):
        self.left = Latch()
        self.leave_count = 0
        self.job = Job(
            fn,
            args,
            contextvars.copy_context() if context is None else context,
            sink=self._leave,
            lane=lane,
        )

    def _leave(self, job):
        self.leave_count += 1
        self.left.set()

    def wait(self):
        """Wait for the end; return the value or raise the error."""
        assert self.left.wait(TIMEOUT), "the job has not left the scheduler"
        outcome, self.job.outcome = self.job.outcome, None
        return outcome.unwrap()


class Calls:
    """What tests do with registries, by short names."""

    @staticmethod
    def make(fn, *args, **options):
        """Make a job, without handing it to anyone."""
        return Call(fn, args, **options)

    @staticmethod
    def inject(registry, fn, *args, **options):
        """Inject ``fn(*args)``."""
        call = Call(fn, args, **options)
        registry.inject(call.job)
        return call


@pytest.fixture
def calls():
    return Calls


@pytest.fixture
def open_registry():
    """Make started registries; all have ended when the test has."""
    registries = []

    def open_one(worker_count=2, **options):
        registry = Registry(worker_count, **options)
        registries.append(registry)
        registry.start()
        return registry

    yield open_one
    for registry in registries:
        registry.stop()
        for thread in registry._threads:
            thread.join(TIMEOUT)
            assert not thread.is_alive(), f"{thread.name} did not end"


@pytest.fixture
def wait_for():
    """Wait, without sleeping, for a fact that nothing announces."""

    def wait(condition):
        deadline = time.monotonic() + TIMEOUT
        while not condition():
            assert time.monotonic() < deadline, "it did not come about"
            os.sched_yield()

    return wait
