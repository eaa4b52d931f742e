"""The life of jobs in a whole registry: submit, claim, steal, cancel, finish, stop.

Every schedule without a preemption, and many random ones without a bound. What some
thread reads without a lock while another may write it is a step, too.
"""

import contextvars
import random

import pytest
from model.explorer import BadSchedule, Play, explore, replay, sample

from runtime._core import worker
from runtime._core.job import DONE, WITHDRAWN, CancelToken, Job
from runtime._core.latch import Latch
from runtime._core.registry import Registry
from runtime._core.sleep import Sleep
from runtime._core.worker import Worker, current_worker

pytestmark = [pytest.mark.slow, pytest.mark.stress]

WATCHED = [
    (CancelToken, "is_set"),
    (Job, "phase"),
    (Registry, "is_stopping"),
    (Registry, "stealers"),
    (Sleep, "excess"),
    (Worker, "job"),
]


@pytest.fixture(autouse=True)
def no_short_steps(monkeypatch):
    """Park without a limit at once: the steps only multiply the schedules."""
    monkeypatch.setattr(worker, "PARK_STEPS", 0)


class Watched(Job):
    """A job that counts how often it was run and left the scheduler."""

    __slots__ = ("runs", "times_left", "left")

    def __init__(self, fn):
        super().__init__(self.call, (fn,), contextvars.Context(), sink=Watched._leaves)
        self.runs = 0
        self.times_left = 0
        self.left = Latch()

    def call(self, fn):
        self.runs += 1
        fn()
        return "cancelled" if self.token.is_set else "value"

    def _leaves(self):
        self.times_left += 1
        if self.times_left == 1:
            self.left.set()

    def check(self, was_withdrawn):
        assert self.times_left == 1
        assert self.runs == (not was_withdrawn)
        assert self.phase == (WITHDRAWN if was_withdrawn else DONE)
        assert (self.outcome is None) == was_withdrawn


def life_story(play: Play):
    """Two workers, two jobs, two cancellers, and the end of the pool.

    The first job comes from outside and pushes the second one, which may be stolen.
    Each canceller withdraws its job or else sets its token. The pool is told to stop
    when all that was accepted has left.
    """
    registry = Registry(2)
    registry.start()
    inner = Watched(lambda: None)
    outer = Watched(lambda: current_worker().push(inner))
    withdrawn = {}

    def submit_and_shut_down():
        registry.inject(outer)
        outer.left.wait()
        if not withdrawn.get(outer) and outer.runs:
            inner.left.wait()
        registry.stop()

    def cancel(job):
        withdrawn[job] = registry.withdraw(job)
        if not withdrawn[job]:
            job.token.is_set = True

    play.thread(submit_and_shut_down, "submitter")
    play.thread(lambda: cancel(outer), "canceller of the outer job")
    play.thread(lambda: cancel(inner), "canceller of the inner job")

    def check():
        outer.check(withdrawn[outer])
        if outer.runs:
            inner.check(withdrawn[inner])

    return check


def test_model_life_of_jobs_without_preemption():
    """Each thread runs until it waits or ends, in every order.

    1. a job is injected, may be withdrawn, and when it runs pushes another;
    2. that one may be withdrawn before or after, be run by either worker, or see its
       token;
    3. each runs at most once, leaves exactly once, and the workers end.
    """
    assert explore(life_story, preemptions=0, watch=WATCHED) > 500


def test_model_life_of_jobs_under_random_schedules():
    """As above, with as many preemptions as the dice say."""
    seed = random.SystemRandom().randrange(1 << 32)
    sample(life_story, plays=200, seed=seed, watch=WATCHED)


def test_model_life_with_a_claim_that_looks_and_then_acts_is_found(monkeypatch):
    """A canceller that reads the phase and then claims loses against a worker.

    1. the canceller finds the job queued; 2. a worker claims and runs it;
    3. the canceller takes the job for withdrawn.
    """

    def withdraw(self):
        if self.phase != 0:
            return False
        self._claim.acquire(blocking=False)
        self.phase = WITHDRAWN
        self._drop_call()
        return True

    monkeypatch.setattr(Job, "withdraw", withdraw)
    with pytest.raises(BadSchedule) as found:
        sample(life_story, plays=5_000, seed=1, watch=WATCHED)
    with pytest.raises(BadSchedule) as again:
        replay(life_story, found.value.choices, preemptions=None, watch=WATCHED)
    assert again.value.choices == found.value.choices
