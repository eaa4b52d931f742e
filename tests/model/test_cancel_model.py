"""The life of jobs in a whole registry: submit, claim, steal, cancel, finish, stop.

Every schedule with a bounded number of preemptions of two workers, two jobs, two
cancellers and the end of the pool: at most one for all of them together, and up to
three where fewer take part. What some thread reads without a lock while another may
write it is a step, too. How workers sleep is another story (test_sleep_model.py): here
one that finds nothing waits until it would find something.
"""

import contextvars
import sys
from functools import partial

import pytest
from model.explorer import BadSchedule, Play, explore, replay

from runtime._core.job import DONE, QUEUED, WITHDRAWN, CancelToken, Job
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


class Sleepless(Sleep):
    """Wakes nobody: who finds nothing waits until it would find something."""

    __slots__ = ("wait_until",)

    def __init__(self, play):
        super().__init__()
        self.wait_until = play.wait_until

    def work_posted(self):
        pass

    def wake_all(self):
        pass

    def become_idle(self):
        pass

    def become_active(self, sees_more_work):
        pass


@pytest.fixture(autouse=True)
def nobody_sleeps(monkeypatch):
    def wait(worker):
        worker.registry.sleep.wait_until(worker.sees_work)
        return True

    monkeypatch.setattr(Worker, "_sleep", wait)


class Watched(Job):
    """A job that counts how often it was run and left the scheduler."""

    __slots__ = ("runs", "times_left")

    def __init__(self, fn):
        super().__init__(self.call, (fn,), contextvars.Context(), sink=Watched._leaves)
        self.runs = 0
        self.times_left = 0

    def call(self, fn):
        self.runs += 1
        fn()
        return "cancelled" if self.token.is_set else "value"

    def _leaves(self):
        self.times_left += 1

    def check(self, was_withdrawn):
        assert self.times_left == 1
        assert self.runs == (not was_withdrawn)
        assert self.phase == (WITHDRAWN if was_withdrawn else DONE)
        assert (self.outcome is None) == was_withdrawn


def life_story(play: Play, *, workers=2, cancels_outer=True, cancels_inner=True):
    """Two workers, two jobs, two cancellers, and the end of the pool; or fewer.

    The first job comes from outside and pushes the second one, which may be stolen.
    Each canceller withdraws its job or else sets its token. The pool is told to stop
    as soon as the first job is in.
    """
    registry = Registry(workers)
    registry.sleep = Sleepless(play)
    for worker in registry._workers:
        play.thread(worker.main, f"worker {worker.index}")
    inner = Watched(lambda: None)
    outer = Watched(lambda: current_worker().push(inner))
    withdrawn = {}

    def submit_and_stop():
        registry.inject(outer)
        registry.stop()

    def cancel(job):
        withdrawn[job] = registry.withdraw(job)
        if not withdrawn[job]:
            job.token.is_set = True

    play.thread(submit_and_stop, "submitter")
    if cancels_outer:
        play.thread(lambda: cancel(outer), "canceller of the outer job")
    if cancels_inner:
        play.thread(lambda: cancel(inner), "canceller of the inner job")

    def check():
        outer.check(withdrawn.get(outer, False))
        if outer.runs:
            inner.check(withdrawn.get(inner, False))

    return check


@pytest.mark.skipif(
    not sys._is_gil_enabled(),
    reason="one thread runs at a time, so the build changes nothing but the duration",
)
@pytest.mark.parametrize(
    ("parts", "preemptions"),
    [
        pytest.param({}, 1, id="all of it"),
        pytest.param({"workers": 1}, 3, id="nobody steals"),
        pytest.param(
            {"cancels_outer": False, "cancels_inner": False}, 3, id="nobody cancels"
        ),
        pytest.param({"cancels_outer": False}, 2, id="one cancels the inner job"),
        pytest.param({"cancels_inner": False}, 2, id="one cancels the outer job"),
    ],
)
def test_model_life_of_jobs(parts, preemptions):
    """In every schedule of the bound:


    1. a job is injected, may be withdrawn, and when it runs pushes another;
    2. that one may be withdrawn before or after, be run by either worker, or see its
       token;
    3. the order to stop comes at any time after the first job;
    4. each runs at most once, leaves exactly once, and the workers end.
    """
    story = partial(life_story, **parts)
    explore(story, preemptions=preemptions, watch=WATCHED, prunes=True)


def claim_by_looking_first(self):
    """Read the phase, and then claim: loses against a worker in between."""
    if self.phase != QUEUED:
        return False
    self._claim.acquire(blocking=False)
    self.phase = WITHDRAWN
    self._drop_call()
    return True


def withdraw_and_leave(self, job):
    """Let a withdrawn job leave at once, while its entry is still queued."""
    if not job.withdraw():
        return False
    job.leave()
    return True


def search_before_the_flag(self):
    """Search, and look for the order to stop afterwards: a job came in between."""
    while True:
        job = self._find()
        if job is not None:
            return job
        if self.registry.is_stopping:
            return None
        self._sleep()


@pytest.mark.parametrize(
    ("owner", "method", "mistake", "workers"),
    [
        (Job, "withdraw", claim_by_looking_first, 2),
        (Registry, "withdraw", withdraw_and_leave, 2),
        # With two workers both have to be preempted for it.
        (Worker, "_search", search_before_the_flag, 1),
    ],
    ids=["wrong claim", "delivered twice", "job forgotten by the stop"],
)
def test_model_life_of_jobs_with_a_mistake_is_found(
    owner, method, mistake, workers, monkeypatch
):
    story = partial(life_story, workers=workers)
    monkeypatch.setattr(owner, method, mistake)
    with pytest.raises(BadSchedule) as found:
        explore(story, preemptions=1, watch=WATCHED, prunes=True)
    with pytest.raises(BadSchedule) as again:
        replay(story, found.value.choices, preemptions=1, watch=WATCHED)
    assert again.value.choices == found.value.choices
    assert type(again.value.error) is type(found.value.error)
