"""The lanes: order, turns of the producers, ageing, and what makes a batch."""

import contextvars

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime._processor.lanes import Lanes
from runtime._processor.request import ExactShare, Request

HIGH, NORMAL, LOW = range(3)
SECOND = 1_000_000_000


def make(value=None, lane=NORMAL, at=0, share="a", cost=1, size=0, timeout=None):
    request = Request(value, None, share, contextvars.Context(), lane, None, timeout)
    request.accepted_ns, request.cost, request.size = at, cost, size
    return request


def values(requests):
    return [request.value for request in requests]


@pytest.fixture
def lanes():
    return Lanes(ageing_ns=SECOND)


def fill(lanes, *requests):
    for request in requests:
        lanes.push(request)


def test_empty_lanes_give_nothing(lanes):
    assert len(lanes) == 0
    assert lanes.next() is None
    assert lanes.take(5, 100) == []
    assert lanes.take_droppable(HIGH) is None


def test_one_producers_requests_keep_their_order(lanes):
    fill(lanes, *(make(i, at=i) for i in range(5)))
    assert values(lanes.take(3, 100)) == [0, 1, 2]
    assert values(lanes.take(3, 100)) == [3, 4]
    assert len(lanes) == 0


def test_producers_take_turns_by_request(lanes):
    fill(lanes, *(make(f"a{i}", share="a") for i in range(100)))
    fill(lanes, *(make(f"b{i}", share="b") for i in range(2)))
    assert values(lanes.take(5, 100)) == ["a0", "b0", "a1", "b1", "a2"]


def test_more_urgent_lane_goes_first(lanes):
    fill(lanes, make("low", LOW), make("normal"), make("high", HIGH, at=SECOND // 2))
    assert [values(lanes.take(9, 100)) for _ in range(3)] == [
        ["high"],
        ["normal"],
        ["low"],
    ]


def test_low_request_is_overtaken_only_by_what_came_within_twice_the_ageing(lanes):
    fill(lanes, make("low", LOW, at=0))
    fill(lanes, make("before", HIGH, at=2 * SECOND - 1))
    fill(lanes, make("after", HIGH, at=2 * SECOND + 1))
    assert values(lanes.take(1, 100)) == ["before"]
    assert values(lanes.take(1, 100)) == ["low"]
    assert values(lanes.take(1, 100)) == ["after"]


def test_batch_ends_before_the_request_that_makes_it_too_large(lanes):
    fill(lanes, *(make(i, size=40) for i in range(4)))
    assert lanes.size == 160
    assert values(lanes.take(10, 100)) == [0, 1]
    assert lanes.size == 80


def test_request_larger_than_a_batch_goes_alone(lanes):
    fill(lanes, make("huge", size=1000), make("small", size=1))
    assert values(lanes.take(10, 100)) == ["huge"]


@pytest.mark.parametrize("position", [0, 1])
def test_request_with_a_timeout_goes_alone(lanes, position):
    requests = [make("plain"), make("plain"), make("plain")]
    requests[position] = make("timed", timeout=1.0)
    fill(lanes, *requests)
    batches = [values(lanes.take(10, 100)) for _ in range(3)]
    assert ["timed"] in batches
    assert sum(map(len, batches)) == 3


def test_exact_share_travels_in_its_own_size_and_by_itself(lanes):
    exact = ExactShare(2)
    fill(lanes, make("x"), *(make(i, share=exact) for i in range(5)))
    assert [values(lanes.take(10, 100)) for _ in range(4)] == [
        ["x"],
        [0, 1],
        [2, 3],
        [4],
    ]


def test_drop_takes_the_oldest_of_the_least_urgent_lane(lanes):
    fill(lanes, make("high", HIGH, at=0))
    fill(lanes, make("new", LOW, at=9, share="a"), make("old", LOW, at=3, share="b"))
    assert lanes.cost_not_above(LOW) == 2
    assert lanes.take_droppable(NORMAL).value == "old"
    assert lanes.take_droppable(NORMAL).value == "new"
    assert lanes.take_droppable(NORMAL) is None  # HIGH is more urgent than NORMAL
    assert lanes.take_droppable(HIGH).value == "high"


def test_removed_request_is_not_taken(lanes):
    requests = [make(i) for i in range(3)]
    fill(lanes, *requests)
    lanes.remove(requests[1])
    assert not requests[1].is_queued
    assert values(lanes.take(9, 100)) == [0, 2]


@settings(deadline=None)  # others use the machine, too
@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.sampled_from("abc"), st.integers(0, 5)),
        max_size=40,
    ),
    st.integers(1, 7),
)
def test_every_request_is_taken_once_and_in_its_producers_order(pushed, limit):
    lanes = Lanes(ageing_ns=2)
    fill(lanes, *(make(i, p[0], p[2], p[1]) for i, p in enumerate(pushed)))
    taken = []
    while lanes:
        batch = lanes.take(limit, 100)
        assert 0 < len(batch) <= limit
        assert len({request.lane for request in batch}) == 1
        taken += batch
    assert sorted(values(taken)) == list(range(len(pushed)))
    for lane in range(3):
        for share in "abc":
            own = [r.value for r in taken if (r.lane, r.share) == (lane, share)]
            assert own == sorted(own)
