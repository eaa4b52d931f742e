"""The parker never loses a token, under every schedule."""

from model.explorer import Play, explore

from runtime._core import parker


def test_model_parker_token_before_during_or_after_park_is_not_lost():
    """One waits, one deposits.

    1. the parker finds no token and is about to wait;
    2. the token is deposited;
    3. it waits all the same: for ever, if the token were a notification.
    """

    def story(play: Play):
        place = parker.Parker()
        play.thread(place.park)
        play.thread(place.unpark)

    explore(story, preemptions=None, lines_of=[parker.__file__])


def test_model_parker_racing_unparks_leave_one_token():
    """Two deposit at once.

    1. both find no token;
    2. both deposit: one token, never two, and never none.
    """

    def story(play: Play):
        place = parker.Parker()
        play.thread(place.unpark)
        play.thread(place.unpark)

        def check():
            assert place.park(0)
            assert not place.park(0)

        return check

    explore(story, preemptions=None)


def test_model_parker_each_token_ends_one_park():
    """Two deposit, one waits twice.

    1. an unpark comes while a token is there: they count as one;
    2. so the second park may find none, and times out; the first never does.
    """
    second_parks = set()

    def story(play: Play):
        place = parker.Parker()

        def park_twice():
            assert place.park()
            second_parks.add(place.park(0))

        play.thread(park_twice)
        play.thread(place.unpark)
        play.thread(place.unpark)

    explore(story, preemptions=3)
    assert second_parks == {True, False}


def test_model_parker_token_in_a_short_step_is_found_in_the_next():
    """A park in steps, as a worker does it.

    1. the first step times out;
    2. the token is deposited between two steps;
    3. the next step finds it.
    """

    def story(play: Play):
        place = parker.Parker()

        def park_in_steps():
            if not place.park(0.05):
                assert place.park()
            assert not place.park(0)

        play.thread(park_in_steps)
        play.thread(place.unpark)

    explore(story, preemptions=None)
