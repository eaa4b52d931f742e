import threading

import pytest
import trio
import trio.testing
from helpers import run_threaded, wait_until

from runtime._frontend import port as port_module
from runtime._frontend.port import CompletionPort


class Note:
    """A delivery that notes that it was made."""

    def __init__(self, notes, name):
        self.notes = notes
        self.name = name

    def deliver(self):
        self.notes.append(self.name)


def make_port():
    """Make a port; it is an error if a delivery fails."""

    def refuse(error):
        raise error

    return CompletionPort(refuse)


class FakeToken:
    """A Trio token that only counts; the test drains."""

    def __init__(self):
        self.wake_ups = 0

    def run_sync_soon(self, fn):
        self.wake_ups += 1


async def test_port_delivers_in_the_trio_thread_in_the_order_of_posts():
    notes = []
    port = make_port()
    for number in range(5):
        assert port.post(Note(notes, number))
    assert notes == []
    await trio.testing.wait_all_tasks_blocked()
    assert notes == [0, 1, 2, 3, 4]


async def test_port_burst_costs_one_wake_up():
    port = make_port()
    port._trio_token = FakeToken()
    notes = []
    for number in range(100):
        port.post(Note(notes, number))
    assert port._trio_token.wake_ups == 1
    port.drain()
    assert notes == list(range(100))
    port.post(Note(notes, "next"))
    assert port._trio_token.wake_ups == 2


async def test_port_post_during_the_drain_asks_for_another():
    """PORT-3 comes before PORT-4, so what comes late is not left behind."""
    port = make_port()
    port._trio_token = FakeToken()
    notes = []

    class PostsAnother(Note):
        def deliver(self):
            super().deliver()
            port.post(Note(notes, "late"))

    port.post(PostsAnother(notes, "first"))
    port.drain()
    assert port._trio_token.wake_ups == 2
    port.drain()
    assert notes == ["first", "late"]


@pytest.mark.parametrize("error", [LookupError("a bug of ours"), SystemExit()])
async def test_port_delivery_that_raises_is_told_and_the_others_come(error):
    notes = []

    class Raises(Note):
        def deliver(self):
            raise error

        def fail(self, failure):
            self.notes.append((self.name, failure))

    def report(error):
        notes.append(error)
        return "what everybody is told"

    port = CompletionPort(report)
    port.post(Raises(notes, "raises"))
    port.post(Note(notes, "next"))
    await trio.testing.wait_all_tasks_blocked()
    assert notes == [error, ("raises", "what everybody is told"), "next"]


async def test_port_many_posters_lose_nothing():
    notes = []
    port = make_port()

    def post(poster):
        for number in range(500):
            assert port.post(Note(notes, (poster, number)))

    await trio.to_thread.run_sync(
        run_threaded, lambda: post(0), lambda: post(1), lambda: post(2)
    )
    await wait_until(lambda: len(notes) == 1500)
    for poster in range(3):
        assert [n for p, n in notes if p == poster] == list(range(500))


def test_port_after_the_run_says_so_and_fails_what_it_has():
    """Also what was posted before the run's end and not drained any more."""
    ports, told = [], []

    class Fails(Note):
        def fail(self, error):
            told.append((self.name, error))
            raise RuntimeError("its task is gone, too")

    def convert(error):
        assert type(error) is trio.RunFinishedError
        return "over"

    async def main():
        ports.append(CompletionPort(convert))
        ports[0]._signal.acquire()  # as if a drain were on its way
        assert ports[0].post(Fails([], "last"))

    trio.run(main)
    (port,) = ports
    port.close()
    for name in "late", "later":
        assert not port.post(Fails([], name))
    assert not port._pending
    assert told == [("last", "over"), ("late", "over"), ("later", "over")]


def test_port_is_made_in_the_trio_thread():
    assert threading.current_thread() is threading.main_thread()
    with pytest.raises(RuntimeError):
        make_port()


async def test_port_poster_pauses_while_trio_is_kept_out(monkeypatch):
    pauses = []
    now_ns = 1_000_000_000
    monkeypatch.setattr(port_module.sync, "pause", pauses.append)
    monkeypatch.setattr(port_module.sync, "clock_ns", lambda: now_ns)
    port = make_port()
    port._trio_token = FakeToken()

    def post_elsewhere(name):
        run_threaded(lambda: port.post(Note([], name)))

    port.post(Note([], "asks for a drain"))
    now_ns += port_module.PATIENCE_NS - 1
    post_elsewhere("while Trio may still be on its way")
    assert pauses == []
    now_ns += 1
    port.post(Note([], "in the Trio thread itself, by a withdrawal"))
    assert pauses == []
    post_elsewhere("while Trio is late")
    assert pauses == [port_module.PAUSE]
    post_elsewhere("just after the pause")
    assert len(pauses) == 1
    port.drain()
    now_ns += port_module.PATIENCE_NS
    post_elsewhere("asks for the next drain")
    assert len(pauses) == 1
