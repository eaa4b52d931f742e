"""The handler itself; whole commands are interrupted in `test_map`, `test_demo`."""

import signal

import pytest

from runtime._cli.interrupt import Interrupts


@pytest.fixture(autouse=True)
def default_handler():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_first_interrupt_is_a_keyboard_interrupt_until_told_otherwise():
    with pytest.raises(KeyboardInterrupt), Interrupts():
        signal.raise_signal(signal.SIGINT)


def test_first_interrupt_calls_what_it_was_told():
    called = []
    with Interrupts() as interrupts:
        interrupts.on_first = lambda: called.append(1)
        signal.raise_signal(signal.SIGINT)

    assert called == [1]
    assert interrupts.seen


def test_noted_interrupt_is_only_seen():
    with Interrupts() as interrupts:
        interrupts.note_only()
        signal.raise_signal(signal.SIGINT)

    assert interrupts.seen


def test_second_interrupt_ends_the_process_with_130(monkeypatch):
    ended = []
    monkeypatch.setattr("os._exit", ended.append)
    with Interrupts() as interrupts:
        interrupts.note_only()
        signal.raise_signal(signal.SIGINT)
        assert ended == []
        signal.raise_signal(signal.SIGINT)

    assert ended == [130]


def test_handler_before_is_back_after_the_block():
    with Interrupts():
        assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler

    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ignored_interrupt_stays_ignored():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Interrupts() as interrupts:
        signal.raise_signal(signal.SIGINT)

    assert not interrupts.seen
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
