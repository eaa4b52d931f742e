import pytest
from helpers import run_threaded

from runtime._core.latch import CountLatch, Latch


def test_latch_is_unset_then_set_for_ever():
    latch = Latch()
    assert not latch.probe()
    latch.set()
    assert latch.probe()
    assert latch.wait()
    assert latch.wait(0)
    assert latch.probe()


def test_latch_wait_that_times_out_answers_false():
    latch = Latch()
    assert not latch.wait(0)
    assert not latch.wait(0.001)
    latch.set()
    assert latch.wait(0)


def test_latch_set_ignores_what_it_is_called_with():
    latch = Latch()
    latch.set(object())
    assert latch.probe()


def test_latch_wakes_every_waiter():
    latch = Latch()
    answers = run_threaded(*[latch.wait] * 6, latch.set)
    assert answers == [True] * 6 + [None]


def test_latch_timed_out_waiter_that_meets_another_still_answers_true():
    """The gate is held by a waiter passing through when the patience ends."""
    latch = Latch()
    latch.set()
    latch._gate.acquire()
    assert latch.wait(0)
    latch._gate.release()


def test_count_latch_tells_the_last_and_only_the_last():
    out = CountLatch()
    out.increment()
    out.increment()
    assert [out.decrement() for _ in range(3)] == [False, False, True]


def test_count_latch_misuse_is_refused():
    out = CountLatch()
    assert out.decrement()
    with pytest.raises(AssertionError, match="raised again"):
        out.increment()
    with pytest.raises(AssertionError, match="fell to -1"):
        out.decrement()


def test_stampede_of_arrivals_has_one_last():
    """Every thread counts itself in again a few times before it counts down."""
    out = CountLatch()
    threads, rounds = 4, 500
    for _ in range(threads):
        out.increment()

    def come_home():
        lasts = 0
        for _ in range(rounds):
            out.increment()
            lasts += out.decrement()
        return lasts + out.decrement()

    assert sum(run_threaded(*[come_home] * threads)) == 0
    assert out.decrement()
