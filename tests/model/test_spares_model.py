"""The hand-over of SPARES.md, under every schedule with few preemptions.

Real workers of a real registry; only the seam is stepped. What nobody works on shows
as a play in which nobody can go on. Three tests break the protocol in the ways that
SPARES.md names, and must find it.
"""

import contextvars
import random

import pytest
from model.explorer import BadSchedule, Play, StuckError, explore, sample

from runtime._core import worker
from runtime._core.job import Job
from runtime._core.latch import Latch
from runtime._core.registry import Registry
from runtime._core.sleep import Sleep

# A whole registry has thousands of schedules.
pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def no_time_limits(monkeypatch):
    """Park without a limit at once: the steps only multiply the schedules."""
    monkeypatch.setattr(worker, "PARK_STEPS", 0)
    monkeypatch.setattr(worker, "SPARE_KEEP_ALIVE", None)


def job(fn, *args, sink=None) -> Job:
    return Job(fn, args, contextvars.Context(), sink=sink)


def wait_outside(latch: Latch) -> None:
    """Wait for a latch as a job does that waits for Trio."""
    me = worker.current_worker()
    assert me is not None
    me.begin_wait()
    latch.wait()
    me.end_wait()


def self_call_story(play: Play):
    """One worker; its job waits for another job of the same pool."""
    registry = Registry(1, spare_limit=1)
    registry.start()
    inner, outer = Latch(), Latch()

    def call_own_pool():
        registry.inject(job(inner.set))
        wait_outside(inner)

    def post():
        registry.inject(job(call_own_pool, sink=outer.set))
        outer.wait()
        registry.stop()

    play.thread(post, "poster")

    def check():
        assert registry.sleep.num_away == 0

    return check


def test_model_spares_one_worker_that_calls_itself_goes_on():
    """The only worker goes away; the job it waits for was posted before.

    1. a job injects another and leaves: a spare is started and put to sleep;
    2. the last look sees the job and wakes the spare, which runs it;
    3. the worker comes back while the spare is anywhere in its search.
    """
    explore(self_call_story, preemptions=2)


def posted_meanwhile_story(play: Play):
    """One worker; what its job waits for is posted by somebody else."""
    registry = Registry(1, spare_limit=1)
    registry.start()
    inner, outer = Latch(), Latch()

    def post():
        registry.inject(job(wait_outside, inner, sink=outer.set))
        registry.inject(job(inner.set))
        outer.wait()
        registry.stop()

    play.thread(post, "poster")


def test_model_spares_job_posted_while_the_worker_leaves_is_run():
    """The first bad interleaving of SLEEP.md, with a spare as the sleeper.

    1. the worker looks at the queues and leaves: a spare sleeps in its place;
    2. a poster pushes a job: it finds the sleeper, or the worker sees the job.
    """
    explore(posted_meanwhile_story, preemptions=2)


@pytest.mark.parametrize("story", [self_call_story, posted_meanwhile_story])
def test_model_spares_without_the_last_look_is_found(monkeypatch, story):
    def look_away(self, leaver):
        return self.sleep.leave() or self.sleep.leave(self._start_spare()[0].parker)

    monkeypatch.setattr(Registry, "replace", look_away)
    with pytest.raises(BadSchedule) as found:
        explore(story, preemptions=2)
    assert isinstance(found.value.error, StuckError)


def back_and_forth_story(play: Play):
    """Two workers; one waits twice while the other and a spare have work."""
    registry = Registry(2, spare_limit=1)
    registry.start()
    gates = [Latch(), Latch()]
    outs = [Latch() for _ in range(3)]

    def wait_twice():
        for gate in gates:
            wait_outside(gate)

    def post():
        registry.inject(job(wait_twice, sink=outs[0].set))
        for gate, out in zip(gates, outs[1:], strict=True):
            registry.inject(job(gate.set, sink=out.set))
        for out in outs:
            out.wait()
        registry.stop()

    play.thread(post, "poster")


def test_model_spares_workers_that_come_back_leave_no_job():
    """Leaving, coming back and stepping down, in every order.

    1. a worker leaves and comes back, while a spare runs what it waited for;
    2. it leaves again: the reserve, an excess or a new spare covers for it;
    3. every job is run, and all threads hear the order to stop.
    """
    sample(
        back_and_forth_story, plays=1_000, seed=random.SystemRandom().randrange(1 << 32)
    )


def test_model_spares_worker_moved_to_the_reserve_posts_what_it_sees():
    """The last bad interleaving of SPARES.md, with a second sleeper to be woken.

    1. A is away, B idle; a poster sees B idle and wakes nobody;
    2. B is sleepy, A comes back and moves B to the reserve;
    3. B's last look sees the job: C, who sleeps, has to be woken for it.
    """

    def story(play: Play):
        sleep = Sleep()
        b, c = worker.Parker(), worker.Parker()
        posted = Latch()
        sleep.become_idle()
        sleep.become_sleepy(c)
        sleep.become_idle()
        sleep._state.change(lambda state: (state._replace(num_away=1), None))
        queue = worker.sync.Deque()
        woken = []

        def be_b():
            sleep.become_sleepy(b)
            if queue and sleep.stay_awake(b):
                woken.append("b")

        def post():
            queue.append("job")
            sleep.work_posted()
            posted.set()

        play.thread(be_b, "b")
        play.thread(post, "poster")
        play.thread(sleep.come_back, "a")

        def check():
            assert woken or b.park(0) or c.park(0), "nobody was woken"

        return check

    explore(story, preemptions=3)


def test_model_spares_order_to_stop_while_a_worker_leaves_ends_all():
    """The fourth bad interleaving of SPARES.md.

    1. a worker reads that nobody has ordered to stop;
    2. the order is given, and everybody in the lists is woken;
    3. the worker starts a spare: that must not sleep for ever.
    """

    def story(play: Play):
        registry = Registry(1, spare_limit=1)
        registry.start()
        out, gate = Latch(), Latch()

        def stop():
            registry.stop()
            gate.set()
            registry.join()

        registry.inject(job(wait_outside, gate, sink=out.set))
        play.thread(stop, "stopper")

    explore(story, preemptions=2)


def test_model_spares_that_do_not_look_for_the_order_to_stop_are_found(monkeypatch):
    def stop_unseen(self, leaver):
        if self.is_stopping:
            return False
        if not self.sleep.leave():
            self.sleep.leave(self._start_spare()[0].parker)
        if leaver.registry.injector:
            self.sleep.work_posted()
        return True

    monkeypatch.setattr(Registry, "replace", stop_unseen)
    with pytest.raises(BadSchedule) as found:
        test_model_spares_order_to_stop_while_a_worker_leaves_ends_all()
    assert isinstance(found.value.error, StuckError)


@pytest.mark.stress
def test_model_spares_two_workers_three_waits_under_random_schedules():
    """Everything at once, with as many preemptions as the dice say.

    1. three jobs wait for each other's pushes, one after the other;
    2. workers and spares leave, come back, step down and sleep;
    3. when all is done, the pool is told to stop.
    """

    def story(play: Play):
        registry = Registry(2, spare_limit=3)
        registry.start()
        gates = [Latch() for _ in range(3)]
        outs = [Latch() for _ in range(6)]

        def push_and_wait(gate):
            me = worker.current_worker()
            assert me is not None
            me.push(job(gate.set))
            wait_outside(gate)

        def post():
            for gate, out in zip(gates, outs, strict=False):
                registry.inject(job(push_and_wait, gate, sink=out.set))
            for out in outs[3:]:
                registry.inject(job(int, sink=out.set))
            for out in outs:
                out.wait()
            registry.stop()

        play.thread(post, "poster")

    sample(story, plays=2_000, seed=random.SystemRandom().randrange(1 << 32))
