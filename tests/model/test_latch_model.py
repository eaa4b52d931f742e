"""The latches, under every schedule."""

import pytest
from model.explorer import BadSchedule, Play, explore

from runtime._core import latch


def set_gate_first(self, _source=None):
    self._gate.release()
    self._is_set = True


def latch_story(play: Play):
    fact = latch.Latch()

    def wait():
        assert fact.wait()
        assert fact.probe()

    play.thread(wait)
    play.thread(wait)
    play.thread(fact.set)


@pytest.mark.slow
def test_model_latch_lets_every_waiter_through():
    """Two wait, one sets.

    1. a waiter is let through by the gate and holds it for a moment;
    2. the other finds it held and must be let through too.
    """
    explore(latch_story, preemptions=2, lines_of=[latch.__file__])


def test_model_latch_whose_gate_opens_before_its_flag_is_found(monkeypatch):
    monkeypatch.setattr(latch.Latch, "set", set_gate_first)
    with pytest.raises(BadSchedule):
        explore(latch_story, preemptions=1, lines_of=[latch.__file__, __file__])


def test_model_latch_timed_wait_that_meets_another_waiter_still_sees_it_set():
    """A waiter passes through the gate while another's patience ends.

    1. the latch is set; the first waiter holds the gate for a moment;
    2. the second finds it held and times out;
    3. it must still answer that the latch is set.
    """

    def story(play: Play):
        fact = latch.Latch()
        fact.set()

        def wait():
            assert fact.wait(0.1)

        play.thread(wait)
        play.thread(wait)

    explore(story, preemptions=None)


@pytest.mark.slow
def test_model_count_latch_has_one_last():
    """Three bring work home, one of them after it took on more.

    1. any two count down at once;
    2. exactly one is told that it was the last, and only when all are home.
    """

    def story(play: Play):
        out = latch.CountLatch()
        out.increment()
        home, lasts = [], []

        def bring_home():
            home.append(None)
            if out.decrement():
                lasts.append(len(home))

        def take_on_more():
            out.increment()
            bring_home()
            bring_home()

        play.thread(take_on_more)
        play.thread(bring_home)

        def check():
            assert lasts == [3]

        return check

    explore(story, preemptions=None, lines_of=[latch.__file__])


def test_model_count_latch_without_its_lock_is_found(monkeypatch):
    def decrement(self):
        self._count -= 1
        return self._count == 0

    monkeypatch.setattr(latch.CountLatch, "decrement", decrement)

    def story(play: Play):
        out = latch.CountLatch()
        out.increment()
        lasts = []
        for _ in range(2):
            play.thread(lambda: lasts.append(out.decrement()))

        def check():
            assert sorted(lasts) == [False, True]

        return check

    with pytest.raises(BadSchedule):
        explore(story, preemptions=2, lines_of=[__file__])
