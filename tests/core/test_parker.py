import threading

from helpers import TIMEOUT, run_threaded

from runtime._core.parker import Parker


def test_park_without_a_token_times_out():
    parker = Parker()
    assert not parker.park(0)
    assert not parker.park(0.001)


def test_park_consumes_a_token_that_came_before():
    parker = Parker()
    parker.unpark()
    assert parker.park(TIMEOUT)
    assert not parker.park(0)


def test_tokens_do_not_add_up():
    parker = Parker()
    parker.unpark()
    parker.unpark()
    assert parker.park(0)
    assert not parker.park(0)


def test_park_waits_for_a_token_that_comes_later():
    parker = Parker()
    assert run_threaded(lambda: parker.park(TIMEOUT), parker.unpark)[0]


def test_spsc_ping_pong_loses_no_token():
    """Two threads wake each other in turn; a lost token would stop both."""
    here, there = Parker(), Parker()
    rounds = 2_000

    def ping():
        for _ in range(rounds):
            there.unpark()
            assert here.park(TIMEOUT)

    def pong():
        for _ in range(rounds):
            assert there.park(TIMEOUT)
            here.unpark()

    run_threaded(ping, pong)


def test_stampede_of_unparks_leaves_at_most_one_token():
    for _ in range(50):
        parker = Parker()
        run_threaded(*[parker.unpark] * 4)
        assert parker.park(0)
        assert not parker.park(0)


def test_stress_work_that_was_announced_is_always_seen():
    """Posters set a flag of their own and unpark; the sleeper parks and looks.

    1. a poster sets its flag, then unparks;
    2. the sleeper wakes, looks at all flags, parks again;
    3. a token lost between the look and the park would leave a flag unseen.
    """
    parker, count, posters = Parker(), 500, 2
    seen = [threading.Event() for _ in range(posters)]
    flags = [False] * posters

    def post(index):
        for _ in range(count):
            flags[index] = True
            parker.unpark()
            assert seen[index].wait(TIMEOUT)
            seen[index].clear()

    def sleep():
        remaining = count * posters
        while remaining:
            assert parker.park(TIMEOUT)
            for index in range(posters):
                if flags[index]:
                    flags[index] = False
                    remaining -= 1
                    seen[index].set()

    run_threaded(lambda: post(0), lambda: post(1), sleep)
