"""When a worker that finds nothing may offer its core."""

from pathlib import Path

import pytest

from runtime._core import spin, sync
from runtime._core.spin import FIRST_REST_NS, MAX_REST_NS, YIELD_LONG_NS, Spin

ROOT = Path(__file__).parents[2]  # headers are in no wheel


class Machine:
    """A clock that moves when the core is offered."""

    def __init__(self):
        self.now_ns = 0
        self.away_ns = 0
        self.offers = 0

    def offer(self):
        self.offers += 1
        self.now_ns += self.away_ns


@pytest.fixture
def machine(monkeypatch):
    machine = Machine()
    monkeypatch.setattr(sync, "clock_ns", lambda: machine.now_ns)
    monkeypatch.setattr(sync, "yield_core", machine.offer)
    return machine


def test_short_offers_go_on(machine):
    looker = Spin()
    assert all(looker.offer() for _ in range(100))
    assert machine.offers == 100


def test_offer_that_took_long_ends_the_search_and_the_next_ones(machine):
    looker = Spin()
    machine.away_ns = YIELD_LONG_NS
    assert not looker.offer()
    assert not any(looker.offer() for _ in range(100))
    assert machine.offers == 1


def test_rest_is_doubled_up_to_a_limit_while_offers_take_long(machine):
    looker = Spin()
    machine.away_ns = YIELD_LONG_NS
    rests = []
    for _ in range(10):
        assert not looker.offer()
        begin_ns, offers = machine.now_ns, machine.offers
        while machine.offers == offers:
            machine.now_ns += FIRST_REST_NS
            looker.offer()
        rests.append(machine.now_ns - YIELD_LONG_NS - begin_ns)
        machine.now_ns += MAX_REST_NS
    assert rests[0] == FIRST_REST_NS
    assert rests[-1] == MAX_REST_NS
    assert rests == sorted(rests)


def test_short_offers_make_the_rest_short_again(machine):
    looker = Spin()
    for _ in range(4):
        machine.away_ns = YIELD_LONG_NS
        assert not looker.offer()
        machine.now_ns += MAX_REST_NS
    machine.away_ns = 0
    assert all(looker.offer() for _ in range(64))
    machine.away_ns = YIELD_LONG_NS
    assert not looker.offer()
    machine.now_ns += FIRST_REST_NS
    machine.away_ns = 0
    assert looker.offer()


def test_both_cores_have_the_same_limits():
    text = (ROOT / "runtime" / "_native" / "spin.h").read_text()
    for name in ("YIELD_LONG_NS", "FIRST_REST_NS", "MAX_REST_NS"):
        assert f"#define {name} INT64_C({getattr(spin, name)})" in text
