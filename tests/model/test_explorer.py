"""The explorer finds what it must find, and counts what can be counted by hand."""

from math import comb

import pytest
from model.explorer import BadSchedule, Play, StuckError, explore, replay, sample

from runtime._core import sync


def two_of(steps):
    def story(play: Play):
        def walk():
            for _ in range(steps):
                play.step()

        play.thread(walk)
        play.thread(walk)

    return story


@pytest.mark.parametrize("steps", [0, 1, 2, 4])
def test_explore_without_bound_plays_every_interleaving(steps):
    # Each thread has its steps and its beginning: n + 1 pieces of two threads.
    assert explore(two_of(steps), preemptions=None) == comb(2 * steps + 2, steps + 1)


def test_explore_bound_of_zero_lets_each_thread_run_to_its_end():
    assert explore(two_of(5), preemptions=0) == 2


def lost_update(play: Play):
    box = [0]

    def add():
        value = box[0]
        play.step()
        box[0] = value + 1

    play.thread(add)
    play.thread(add)

    def check():
        assert box[0] == 2

    return check


def test_explore_lost_update_is_found_and_its_schedule_replays():
    with pytest.raises(BadSchedule) as found:
        explore(lost_update, preemptions=1)
    with pytest.raises(BadSchedule) as again:
        replay(lost_update, found.value.choices, preemptions=1)
    assert again.value.choices == found.value.choices


def test_sample_finds_a_lost_update_and_its_schedule_replays():
    with pytest.raises(BadSchedule) as found:
        sample(lost_update, plays=1_000, seed=1)
    with pytest.raises(BadSchedule) as again:
        replay(lost_update, found.value.choices, preemptions=None)
    assert again.value.choices == found.value.choices


def test_explore_lost_update_needs_its_preemption():
    assert explore(lost_update, preemptions=0) == 2


def test_explore_locks_in_opposite_order_are_found_stuck():
    def story(play: Play):
        a, b = sync.Lock(), sync.Lock()

        def take(first, second):
            with first, second:
                pass

        play.thread(lambda: take(a, b))
        play.thread(lambda: take(b, a))

    with pytest.raises(BadSchedule) as found:
        explore(story, preemptions=1)
    assert isinstance(found.value.error, StuckError)
    explore(story, preemptions=0)


def test_explore_lock_excludes():
    def story(play: Play):
        lock, inside = sync.Lock(), []

        def enter():
            with lock:
                inside.append(None)
                play.step()
                assert len(inside) == 1
                inside.pop()

        for _ in range(3):
            play.thread(enter)

    assert explore(story, preemptions=2) > 6


def test_explore_timed_wait_may_time_out_or_succeed():
    answers = set()

    def story(play: Play):
        lock = sync.Lock()
        lock.acquire()
        play.thread(lambda: answers.add(lock.acquire(timeout=1)))
        play.thread(lock.release)

    explore(story, preemptions=None)
    assert answers == {True, False}


def test_explore_error_in_a_thread_is_reported():
    def story(play: Play):
        play.thread(lambda: 1 // 0)

    with pytest.raises(BadSchedule) as found:
        explore(story, preemptions=0)
    assert isinstance(found.value.error, ZeroDivisionError)


def test_explore_endless_loop_is_reported():
    def story(play: Play):
        def loop():
            while True:
                play.step()

        play.thread(loop)

    with pytest.raises(BadSchedule) as found:
        explore(story, preemptions=0)
    assert isinstance(found.value.error, StuckError)


def plain_attributes(play: Play):
    box = [0]

    def add():
        value = box[0]
        box[0] = value + 1

    play.thread(add)
    play.thread(add)

    def check():
        assert box[0] == 2

    return check


def test_explore_lines_are_steps_only_where_asked_for():
    explore(plain_attributes, preemptions=1)
    with pytest.raises(BadSchedule):
        explore(plain_attributes, preemptions=1, lines_of=[__file__])


class Box:
    __slots__ = ("left", "right")

    def __init__(self):
        self.left = self.right = 0


BOX = [(Box, "left"), (Box, "right")]


def outcomes_of(preemptions, *, prunes):
    """Return how a story with races, a lock and a wait may end."""
    ends = set()

    def story(play: Play):
        box, lock, seen = Box(), sync.Lock(), {}

        def add():
            box.left = box.left + 1
            with lock:
                box.right = box.right + 1

        def double():
            with lock:
                box.left = box.left * 2 + 1
            box.right = box.right * 2

        def look():
            play.wait_until(lambda: box.left > 0)
            seen["tried"] = lock.acquire(blocking=False)
            seen["right"] = box.right
            if seen["tried"]:
                lock.release()

        for target in (add, double, look):
            play.thread(target)

        def check():
            ends.add((box.left, box.right, *seen.values()))

        return check

    count = explore(story, preemptions=preemptions, watch=BOX, prunes=prunes)
    return ends, count


@pytest.mark.slow
@pytest.mark.parametrize("preemptions", [0, 1, 2])
def test_explore_pruned_reaches_every_end_in_fewer_schedules(preemptions):
    every_end, count = outcomes_of(preemptions, prunes=False)
    ends, count_pruned = outcomes_of(preemptions, prunes=True)
    assert ends == every_end
    assert len(ends) > 1
    assert 2 * count_pruned < count or preemptions == 0


def test_explore_pruned_finds_a_lost_update_and_its_schedule_replays():
    def story(play: Play):
        box = Box()

        def add():
            box.left = box.left + 1

        play.thread(add)
        play.thread(add)

        def check():
            assert box.left == 2

        return check

    with pytest.raises(BadSchedule) as found:
        explore(story, preemptions=1, watch=BOX, prunes=True)
    with pytest.raises(BadSchedule) as again:
        replay(story, found.value.choices, preemptions=1, watch=BOX)
    assert again.value.choices == found.value.choices


def test_explore_abandoned_play_unwinds_its_threads_one_at_a_time():
    """Those that wait, those that never began, and the one that failed."""
    inside, unwound = [], []

    def story(play: Play):
        lock = sync.Lock()
        lock.acquire()

        def wait(name):
            try:
                lock.acquire()
            finally:
                inside.append(name)
                assert inside == [name]
                unwound.append(name)
                inside.remove(name)

        for name in "ab":
            play.thread(lambda name=name: wait(name))
        play.thread(lambda: 1 // 0)
        play.thread(lambda: unwound.append("never began"))

    with pytest.raises(BadSchedule) as found:
        explore(story, preemptions=0)
    assert isinstance(found.value.error, ZeroDivisionError)
    assert sorted(unwound) == ["a", "b"]
    explore(two_of(1), preemptions=0)
