"""The sleep protocol of SLEEP.md, under every schedule with few preemptions.

Real workers of a real registry; only the seam is stepped. A job that nobody wakes
for shows as a play in which nobody can go on. Two tests break the protocol in the
ways that SLEEP.md names, and must find it: they show that the others could fail.
"""

import contextvars
import random

import pytest
from model.explorer import BadSchedule, Play, StuckError, explore, sample

from runtime._core import worker
from runtime._core.job import Job
from runtime._core.latch import Latch
from runtime._core.registry import Registry
from runtime._core.sleep import Sleep, _become_active
from runtime._core.worker import Worker

# A whole registry has thousands of schedules.
pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def no_short_steps(monkeypatch):
    """Park without a limit at once: the steps only multiply the schedules."""
    monkeypatch.setattr(worker, "PARK_STEPS", 0)


def job_that_sets(latch: Latch) -> Job:
    return Job(latch.set, (), contextvars.Context())


def one_poster_story(play: Play):
    """One worker, one poster: the job is run, and the order to stop is heard."""
    registry = Registry(1)
    registry.start()
    done = Latch()

    def post():
        registry.inject(job_that_sets(done))
        done.wait()
        registry.stop()

    play.thread(post, "poster")


def test_model_sleep_one_worker_one_poster_no_job_is_left():
    """The first bad interleaving of SLEEP.md.

    1. the worker looks into the injector: empty;
    2. the poster pushes a job, and finds nobody idle and nobody asleep;
    3. the worker registers and parks: the job would wait for ever.
    """
    explore(one_poster_story, preemptions=3)


def test_model_sleep_without_the_last_look_is_found(monkeypatch):
    def sleep_at_once(self):
        self.registry.sleep.become_sleepy(self.parker)
        self._park()

    monkeypatch.setattr(Worker, "_sleep", sleep_at_once)
    with pytest.raises(BadSchedule) as found:
        explore(one_poster_story, preemptions=2)
    assert isinstance(found.value.error, StuckError)


def test_model_sleep_with_the_last_look_too_early_is_found(monkeypatch):
    def look_before_sleepy(self):
        if not self.sees_work():
            self.registry.sleep.become_sleepy(self.parker)
            self._park()

    monkeypatch.setattr(Worker, "_sleep", look_before_sleepy)
    with pytest.raises(BadSchedule) as found:
        explore(one_poster_story, preemptions=2)
    assert isinstance(found.value.error, StuckError)


@pytest.mark.parametrize("path", ["injector", "stop"])
def test_model_sleep_last_look_that_forgets_an_arrival_path_is_found(monkeypatch, path):
    def looks_elsewhere(self):
        return (
            self.registry.is_stopping
            if path == "injector"
            else bool(self.registry.injector)
        )

    monkeypatch.setattr(Worker, "sees_work", looks_elsewhere)
    with pytest.raises(BadSchedule) as found:
        explore(one_poster_story, preemptions=2)
    assert isinstance(found.value.error, StuckError)


def two_jobs_story(play: Play):
    """A job that waits for a later one: two workers must be up at once."""
    registry = Registry(2)
    registry.start()
    first, second = Latch(), Latch()

    def run_first():
        second.wait()
        first.set()

    def post():
        registry.inject(Job(run_first, (), contextvars.Context()))
        registry.inject(job_that_sets(second))
        first.wait()
        registry.stop()

    play.thread(post, "poster")


def test_model_sleep_two_workers_two_jobs_neither_waits_for_a_busy_worker():
    """The second bad interleaving of SLEEP.md.

    1. worker A, the only idle one, finds a job and sees no more work;
    2. the poster pushes a second job and sees A idle: wakes nobody;
    3. A stops being idle; its job waits for the second one, while B sleeps.
    """
    explore(two_jobs_story, preemptions=1)


def test_model_sleep_that_looks_before_it_is_active_is_found(monkeypatch):
    def look_first(self, sees_more_work):
        more = sees_more_work()
        state = self._state.change(_become_active)
        if more and state.num_idle == 0 and state.sleepers:
            self.work_posted()

    monkeypatch.setattr(Sleep, "become_active", look_first)
    with pytest.raises(BadSchedule) as found:
        explore(two_jobs_story, preemptions=2)
    assert isinstance(found.value.error, StuckError)


def push_inside_story(play: Play):
    """A job pushes another on its own worker's deque and waits for it."""
    registry = Registry(2)
    registry.start()
    inner, outer = Latch(), Latch()

    def push_and_wait():
        me = worker.current_worker()
        assert me is not None
        me.push(job_that_sets(inner))
        inner.wait()
        outer.set()

    def post():
        registry.inject(Job(push_and_wait, (), contextvars.Context()))
        outer.wait()
        registry.stop()

    play.thread(post, "poster")


def test_model_sleep_job_in_a_busy_worker_s_deque_is_stolen():
    """The second arrival path: another worker's deque.

    1. worker B looks into A's deque: empty;
    2. A's job pushes a job there and blocks until it is run;
    3. B must see it in its last look, or be woken.
    """
    explore(push_inside_story, preemptions=1)


def test_model_sleep_last_look_that_forgets_the_other_deques_is_found(monkeypatch):
    def looks_outside_only(self):
        return bool(self.registry.injector) or self.registry.is_stopping

    monkeypatch.setattr(Worker, "sees_work", looks_outside_only)
    with pytest.raises(BadSchedule) as found:
        explore(push_inside_story, preemptions=2)
    assert isinstance(found.value.error, StuckError)


def test_model_sleep_burst_wakes_one_worker_after_another():
    """Two jobs under one wake-up, each of which needs the other.

    1. both workers sleep; two jobs are injected at once; one worker is woken;
    2. it finds more work and must wake the other before it is busy.
    """

    def story(play: Play):
        registry = Registry(2)
        registry.start()
        here, there = Latch(), Latch()

        def meet(mine, other):
            mine.set()
            other.wait()

        def post():
            jobs = [
                Job(meet, (here, there), contextvars.Context()),
                Job(meet, (there, here), contextvars.Context()),
            ]
            registry.inject_many(jobs)
            here.wait()
            there.wait()
            registry.stop()

        play.thread(post, "poster")

    explore(story, preemptions=1)


def test_model_sleep_stop_wakes_every_worker():
    """The third arrival path: the order to stop, against workers falling asleep.

    1. two workers are anywhere between their first search and their parkers;
    2. the flag is set and everybody in the list is woken;
    3. all workers end.
    """

    def story(play: Play):
        registry = Registry(2)
        registry.start()
        play.thread(registry.stop, "stopper")

    explore(story, preemptions=1)


def test_model_sleep_compaction_does_not_hide_the_jobs_that_stay():
    """A lane is compacted while a worker looks into it.

    1. a worker is idle, so the poster of a job wakes nobody;
    2. two other jobs are withdrawn, and their lane is compacted;
    3. the worker's looks fall into the compaction: were the lane empty for a
       moment, the worker would sleep and the job wait for ever.
    """

    def story(play: Play):
        registry = Registry(1)
        registry.start()
        done = Latch()

        def post():
            stays, *goes = (job_that_sets(Latch()) for _ in range(3))
            stays.sink = done.set
            registry.inject_many([stays, *goes])
            for job in goes:
                registry.withdraw(job)
            done.wait()
            registry.stop()

        play.thread(post, "poster")

    explore(story, preemptions=2)


def test_model_stop_right_after_a_post_leaves_no_job():
    """A job is injected and the order to stop follows at once.

    1. a worker searches and finds nothing;
    2. a job is injected, and the flag is set;
    3. the worker sees the flag: it must look once more before it ends.
    """

    def story(play: Play):
        registry = Registry(1)
        registry.start()
        done = Latch()

        def post_and_stop():
            registry.inject(job_that_sets(done))
            registry.stop()

        play.thread(post_and_stop, "poster")

        def check():
            assert done.probe()

        return check

    explore(story, preemptions=3)


@pytest.mark.stress
def test_model_sleep_three_workers_two_posters_under_random_schedules():
    """Everything at once, with as many preemptions as the dice say.

    1. two posters inject jobs that push further jobs and wait for them;
    2. three workers search, steal, fall asleep and wake each other;
    3. when all is done, the pool is told to stop.
    """

    def story(play: Play):
        registry = Registry(3)
        registry.start()
        outs = [Latch(), Latch()]

        def push_and_wait(out):
            inner = Latch()
            me = worker.current_worker()
            assert me is not None
            me.push(job_that_sets(inner))
            inner.wait()
            out.set()

        def post(out):
            registry.inject(Job(push_and_wait, (out,), contextvars.Context()))

        def post_and_stop():
            post(outs[1])
            for out in outs:
                out.wait()
            registry.stop()

        play.thread(lambda: post(outs[0]), "poster")
        play.thread(post_and_stop, "poster that stops")

    sample(story, plays=2_000, seed=random.SystemRandom().randrange(1 << 32))
