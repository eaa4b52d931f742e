"""What the user's code does in the midst of ours: a finalizer, run by the collector.

It may run between any two lines of Python, so it is made to: at the k-th line that a
call of ours executes, for each k until the call has no more lines. Python code that the
native core calls (to start a thread, say) has such lines, too.
"""

import contextvars
import sys
import threading
from pathlib import Path

import pytest
from helpers import TIMEOUT

from runtime import _core
from runtime._core import Job, Latch, current_worker
from runtime._core.selected import join

FILES = (str(Path(_core.__file__).parent), threading.__file__)


class Intruder:
    """Runs something at the k-th line of ours, in the thread that is inside."""

    def __init__(self, k, intrude):
        self.left = k
        self.intrude = intrude
        self.errors = []

    def __enter__(self):
        sys.settrace(self.trace)
        return self

    def __exit__(self, *_exc):
        sys.settrace(None)

    @property
    def has_come(self):
        return self.left < 0

    def trace(self, frame, event, _arg):
        if not frame.f_code.co_filename.startswith(FILES):
            return None
        # A lock of the standard library's own, for a moment while a thread starts.
        if threading._active_limbo_lock._is_owned():
            return self.trace
        if event == "line" and self.left >= 0:
            self.left -= 1
            if self.left < 0:
                sys.settrace(None)
                try:
                    self.intrude()
                except BaseException as error:  # a finalizer's errors go nowhere
                    self.errors.append(error)
        return self.trace


def job_that_sets(latch):
    return Job(latch.set, (), contextvars.Context())


class Pool:
    """What a finalizer can do with the pool whose worker it runs on."""

    def __init__(self, registry):
        self.registry = registry

    def wait_for_another_job(self):
        """As a goodbye that is sent in a job of its own."""
        me = current_worker()
        done = Latch()
        me.begin_wait()
        try:
            self.registry.inject(job_that_sets(done))
            assert done.wait(TIMEOUT), "no other worker runs the job"
        finally:
            me.end_wait()

    def push_and_withdraw(self):
        me, done = current_worker(), Latch()
        for _ in range(3):
            job = Job(int, (), contextvars.Context())
            self.registry.inject(job)
            self.registry.withdraw(job)
        me.push(job_that_sets(done))
        me.begin_wait()
        assert done.wait(TIMEOUT)
        me.end_wait()

    def look(self):
        self.registry.statistics()
        self.registry.running_jobs()
        self.registry.num_waiting()
        self.registry.is_anyone_idle()
        assert not current_worker().job.token.is_set

    def fork(self):
        assert join(int, int) == (0, 0)


def wait_outside(registry):
    me = current_worker()
    me.begin_wait()
    me.end_wait()


def inject_and_withdraw(registry):
    jobs = [Job(int, (), contextvars.Context()) for _ in range(3)]
    registry.inject_many(jobs)
    for job in jobs:
        registry.withdraw(job)


def push_and_join(registry):
    assert join(int, int) == (0, 0)


CALLS = [wait_outside, inject_and_withdraw, push_and_join]
INTRUSIONS = ["wait_for_another_job", "push_and_withdraw", "look", "fork"]


@pytest.mark.parametrize("intrusion", INTRUSIONS)
@pytest.mark.parametrize("call", CALLS)
def test_finalizer_at_every_line(open_registry, calls, call, intrusion):
    intruders = []
    while not intruders or intruders[-1].has_come:
        registry = open_registry(1)
        intruder = Intruder(len(intruders), getattr(Pool(registry), intrusion))
        intruders.append(intruder)

        def body(registry=registry, intruder=intruder):
            with intruder:
                call(registry)

        calls.inject(registry, body).wait()
        assert intruder.errors == []
        # The books are balanced, and the pool works.
        assert registry.num_waiting() == 0
        wait_outside_once(registry, calls)
        registry.stop()
        registry.join()
    print(f"{len(intruders) - 1} lines")  # noqa: T201


def wait_outside_once(registry, calls):
    assert calls.inject(registry, wait_outside, registry).wait() is None
    assert registry.num_waiting() == 0
