"""The completion port, between workers and a Trio loop that is played.

The fake loop calls what `run_sync_soon` was given, as Trio's entry queue does: one
call for each request, in the Trio thread. A delivery that nobody asked to drain for
shows as a play in which nobody can go on.
"""

import pytest
import trio
from model.explorer import BadSchedule, Play, StuckError, explore

from runtime._frontend import port
from runtime._frontend.port import CompletionPort


class PlayedLoop:
    """A Trio run that ends when it has seen enough deliveries."""

    def __init__(self, play: Play) -> None:
        self._play = play
        self._calls = []
        self.call_count = 0
        self.is_over = False

    def run_sync_soon(self, fn):
        self._play.step()
        if self.is_over:
            raise trio.RunFinishedError
        self._calls.append(fn)

    def run(self, is_enough):
        while not is_enough():
            self._play.wait_until(lambda: self._calls)
            self.call_count += 1
            self._calls.pop(0)()


class PlayedDelivery:
    def __init__(self, name, arrived):
        self._name = name
        self._arrived = arrived

    def deliver(self):
        self._arrived.append(self._name)


@pytest.fixture
def port_on(monkeypatch):
    def make(loop):
        monkeypatch.setattr(trio.lowlevel, "current_trio_token", lambda: loop)
        return CompletionPort(on_failure=lambda error: error)

    return make


def story_of(port_on, names_by_poster):
    expected = sorted(name for names in names_by_poster for name in names)

    def story(play: Play):
        loop, arrived = PlayedLoop(play), []
        completion_port = port_on(loop)

        def post(names):
            for name in names:
                assert completion_port.post(PlayedDelivery(name, arrived))

        play.thread(lambda: loop.run(lambda: len(arrived) == len(expected)), "trio")
        for names in names_by_poster:
            play.thread(lambda names=names: post(names), "poster")

        def check():
            assert sorted(arrived) == expected
            for names in names_by_poster:
                assert [name for name in arrived if name in names] == names

        return check

    return story


def test_model_port_no_delivery_is_left_behind(port_on):
    """Two posters against a loop that drains.

    1. the loop drains and finds nothing more;
    2. a post comes now: it must find the signal free and ask again.
    """
    explore(story_of(port_on, [["a"], ["b"]]), preemptions=3)


def test_model_port_keeps_each_poster_s_order(port_on):
    """One poster posts several times while the loop drains."""
    explore(story_of(port_on, [["a", "b", "c"]]), preemptions=3)


def test_model_port_that_frees_its_signal_last_is_found(port_on, monkeypatch):
    """PORT-3 after PORT-4.

    1. the loop drains and finds nothing more;
    2. a post comes, finds the signal taken, asks for nothing;
    3. the loop frees the signal: the delivery lies there for ever.
    """

    def drain(self):
        while True:
            try:
                delivery = self._pending.popleft()
            except IndexError:
                break
            delivery.deliver()
        self._signal.release()

    monkeypatch.setattr(CompletionPort, "drain", drain)
    with pytest.raises(BadSchedule) as found:
        explore(story_of(port_on, [["a"], ["b"]]), preemptions=2)
    assert isinstance(found.value.error, StuckError)


def test_model_port_that_signals_before_it_appends_is_found(port_on, monkeypatch):
    def post(self, delivery):
        if self._signal.acquire(blocking=False):
            self._trio_token.run_sync_soon(self.drain)
        self._pending.append(delivery)
        return True

    monkeypatch.setattr(CompletionPort, "post", post)
    with pytest.raises(BadSchedule) as found:
        explore(story_of(port_on, [["a"], ["b"]]), preemptions=2)
    assert isinstance(found.value.error, StuckError)


def test_model_port_asks_once_for_a_burst(port_on):
    """Everything that is posted before the loop gets round costs one call."""

    def story(play: Play):
        loop, arrived = PlayedLoop(play), []
        completion_port = port_on(loop)
        for name in "abc":
            completion_port.post(PlayedDelivery(name, arrived))
        play.thread(lambda: loop.run(lambda: len(arrived) == 3), "trio")

        def check():
            assert loop.call_count == 1

        return check

    explore(story, preemptions=None, lines_of=[port.__file__])


def test_model_port_after_the_run_says_that_nobody_is_told(port_on):
    """Two posters against a run that is over.

    1. one takes the signal and finds the run over;
    2. the other posts at any moment: no error, and nothing is kept for ever.
    """

    def story(play: Play):
        loop, arrived = PlayedLoop(play), []
        loop.is_over = True
        completion_port = port_on(loop)
        answers = []
        for name in "ab":
            delivery = PlayedDelivery(name, arrived)
            play.thread(
                lambda delivery=delivery: answers.append(completion_port.post(delivery))
            )

        def check():
            assert False in answers
            assert arrived == []

        return check

    explore(story, preemptions=2)
