"""The counters and the list of `Sleep`; its schedules are in tests/model."""

import contextvars
import re
from importlib import resources

import pytest
from helpers import white_box

from runtime._core import Job, Registry
from runtime._core import worker as worker_module
from runtime._core.parker import Parker
from runtime._core.sleep import Sleep


@pytest.fixture
def sleep():
    return Sleep()


def fall_asleep(sleep):
    """Take one worker as far as its parker; return that."""
    parker = Parker()
    sleep.become_idle()
    sleep.become_sleepy(parker)
    return parker


def has_token(parker):
    return parker.park(0)


def nothing():
    return False


def something():
    return True


def test_work_posted_with_nobody_asleep_wakes_nobody(sleep):
    sleep.work_posted()
    assert sleep.num_sleeping() == 0
    assert not sleep.is_anyone_idle()


def test_work_posted_wakes_the_last_that_fell_asleep_and_only_that(sleep):
    first, second = fall_asleep(sleep), fall_asleep(sleep)
    sleep.work_posted()
    assert (has_token(first), has_token(second)) == (False, True)
    assert sleep.num_sleeping() == 1


def test_work_posted_while_somebody_searches_wakes_nobody(sleep):
    parker = fall_asleep(sleep)
    sleep.become_idle()
    sleep.work_posted()
    assert not has_token(parker)


def test_work_posted_twice_wakes_one_as_that_one_wakes_the_next(sleep):
    first, second = fall_asleep(sleep), fall_asleep(sleep)
    sleep.work_posted()
    sleep.work_posted()
    assert (has_token(first), has_token(second)) == (False, True)
    sleep.become_active(something)
    assert has_token(first)


def test_become_active_with_no_more_work_wakes_nobody(sleep):
    parker = fall_asleep(sleep)
    sleep.become_idle()
    sleep.become_active(nothing)
    assert not has_token(parker)


def test_become_active_while_another_searches_does_not_even_look(sleep):
    parker = fall_asleep(sleep)
    sleep.become_idle()
    sleep.become_idle()
    sleep.become_active(lambda: pytest.fail("looked"))
    assert not has_token(parker)


def test_become_active_with_nobody_asleep_does_not_even_look(sleep):
    sleep.become_idle()
    sleep.become_active(lambda: pytest.fail("looked"))


def test_become_active_looks_without_the_lock(sleep):
    fall_asleep(sleep)
    sleep.become_idle()
    sleep.become_active(lambda: sleep.num_sleeping() == 2)


def test_stay_awake_before_a_waker_takes_the_announcement_back(sleep):
    parker = fall_asleep(sleep)
    assert sleep.stay_awake(parker)
    assert sleep.num_sleeping() == 0
    assert sleep.is_anyone_idle()
    sleep.become_active(nothing)
    assert not sleep.is_anyone_idle()
    assert not has_token(parker)


def test_stay_awake_after_a_waker_has_to_wait_for_the_token(sleep):
    parker = fall_asleep(sleep)
    sleep.work_posted()
    assert not sleep.stay_awake(parker)
    assert has_token(parker)


def test_stay_awake_leaves_the_others_asleep(sleep):
    first, second, third = (fall_asleep(sleep) for _ in range(3))
    assert sleep.stay_awake(second)
    sleep.become_active(nothing)
    sleep.wake_all()
    assert [has_token(p) for p in (first, second, third)] == [True, False, True]


def test_wake_all_wakes_everybody_even_while_somebody_searches(sleep):
    parkers = [fall_asleep(sleep) for _ in range(3)]
    sleep.become_idle()
    sleep.wake_all()
    assert all(map(has_token, parkers))
    assert sleep.num_sleeping() == 0


def test_is_anyone_idle_counts_searchers_and_sleepers(sleep):
    assert not sleep.is_anyone_idle()
    sleep.become_idle()
    assert sleep.is_anyone_idle()
    sleep.become_sleepy(Parker())
    assert sleep.is_anyone_idle()
    sleep.work_posted()
    assert sleep.is_anyone_idle()
    sleep.become_active(nothing)
    assert not sleep.is_anyone_idle()


@pytest.mark.parametrize("step", ["become_active", "become_sleepy"])
def test_misuse_worker_that_is_not_idle_is_noticed(sleep, step):
    argument = nothing if step == "become_active" else Parker()
    with pytest.raises(AssertionError, match="num_idle fell to -1"):
        getattr(sleep, step)(argument)


def arrive_at_the_injector(registry):
    registry.injector.push(Job(int, (), contextvars.Context()))


def arrive_at_another_deque(registry):
    registry._workers[1].deque.push(Job(int, (), contextvars.Context()))


def arrive_as_the_order_to_stop(registry):
    registry.is_stopping = True


ARRIVALS = [
    arrive_at_the_injector,
    arrive_at_another_deque,
    arrive_as_the_order_to_stop,
]


@pytest.mark.parametrize("arrive", ARRIVALS)
def test_last_look_covers_the_arrival_path(arrive):
    registry = Registry(3)
    looker = registry._workers[0]
    assert not looker.sees_work()
    arrive(registry)
    assert looker.sees_work()


def test_arrival_paths_are_those_of_the_protocol():
    text = (resources.files("runtime._core") / "SLEEP.md").read_text("utf-8")
    section = text.split("**Arrival paths**")[1].split("\n## ")[0]
    assert len(re.findall(r"^\d+\. ", section, re.MULTILINE)) == len(ARRIVALS)


@white_box
def test_park_in_short_steps_then_without_a_limit(monkeypatch):
    waits = []

    class ParkerWithoutToken:
        is_spare = False

        def park(self, timeout=None):
            waits.append(timeout)
            return False

    monkeypatch.setattr(worker_module, "PARK_STEPS", 3)
    worker = Registry(1)._workers[0]
    worker.parker = ParkerWithoutToken()
    worker._park()
    assert waits == [worker_module.PARK_STEP] * 3 + [None]


@white_box
def test_park_ends_with_the_step_that_finds_a_token():
    worker = Registry(1)._workers[0]
    worker.parker.unpark()
    worker._park()
    assert not worker.parker.park(0)
