"""Leaf on both cores: what comes out, and when it ends."""

import math
import sys
import time
from array import array
from itertools import count
from types import SimpleNamespace

import pytest

from runtime._core import leaf as python_leaf
from runtime._core import signals

NO_LIMIT = 1 << 62


@pytest.fixture
def make(core):
    """Make a leaf of one core, without limits unless given."""
    leaf = python_leaf.Leaf if core.__name__ == "python" else core.Leaf

    def make_one(source, start, stop, budget_ns=NO_LIMIT, interval=1, **tokens):
        return leaf(
            source,
            start,
            stop,
            budget_ns,
            interval,
            tokens.get("run_token"),
            tokens.get("job_token"),
            tokens.get("watches_demand", False),
            tokens.get("halts", False),
        )

    return make_one


SOURCES = {
    "list": list(range(1000)),
    "floats": [i * 0.5 for i in range(1000)],
    "tuple": tuple(map(str, range(1000))),
    "range": range(5, 5 + 7 * 1000, 7),
    "range_down": range(500, -500, -1),
    "range_of_large": range(10**30, 10**30 + 1000),
    "range_at_the_edge": range(2**63 - 1001, 2**63 - 1),
    "range_over_the_edge": range(2**63 - 500, 2**63 + 500),
    "range_wider_than_a_step": range(-(2**63), 2**63 - 1, 2**64 // 1000)[:1000],
    "str": "x" * 999 + "y",
    "bytes": bytes(i % 256 for i in range(1000)),
    "array": array("i", range(1000)),
}


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize(("start", "stop"), [(0, 1000), (0, 0), (63, 65), (990, 1000)])
def test_leaf_gives_the_items_between(make, name, start, stop):
    leaf = make(SOURCES[name], start, stop)
    assert list(leaf) == list(SOURCES[name][start:stop])
    assert leaf.taken == stop - start


def test_leaf_of_an_iterator_takes_no_more_than_it_gives(make):
    numbers = count()
    leaf = make(numbers, 0, 10)
    assert list(leaf) == list(range(10))
    assert next(numbers) == 10


def test_leaf_of_an_iterator_that_ends_early(make):
    leaf = make(iter("abc"), 0, 10)
    assert list(leaf) == ["a", "b", "c"]
    assert leaf.taken == 3


@pytest.mark.parametrize("name", SOURCES)
def test_leaf_counts_what_was_taken_when_it_is_left_early(make, name):
    leaf = make(SOURCES[name], 10, 1000)
    items = iter(leaf)
    assert [next(items) for _ in range(7)] == list(SOURCES[name][10:17])
    assert leaf.taken == 7


def test_leaf_without_time_gives_one_stretch(make):
    leaf = make(range(1000), 0, 1000, budget_ns=1, interval=8)
    assert list(leaf) == list(range(8))
    assert leaf.elapsed_ns >= 1


def test_leaf_looks_after_twice_as_many_items_at_most(make):
    leaf = make(range(1000), 0, 1000, budget_ns=NO_LIMIT)
    assert leaf.interval == 1
    for _ in leaf:
        assert leaf.interval <= max(1, 2 * leaf.taken)


@pytest.mark.parametrize("name", ["run_token", "job_token"])
def test_leaf_that_is_told_to_stop_ends_at_its_next_look(core, make, name):
    token = core.CancelToken()
    leaf = make(range(1000), 0, 1000, interval=4, **{name: token})
    items = iter(leaf)
    next(items)
    token.is_set = True
    assert list(items) == [1, 2, 3]


def until_asked_again():
    """Wait as long as a leaf leaves a token of a job elsewhere alone."""
    stop_ns = time.perf_counter_ns() + 1_000_000
    while time.perf_counter_ns() < stop_ns:
        pass


def test_leaf_asks_a_token_of_a_job_elsewhere(make):
    token = SimpleNamespace(is_set=False)
    leaf = make(range(1000), 0, 1000, interval=4, job_token=token)
    items = iter(leaf)
    next(items)
    token.is_set = True
    until_asked_again()
    assert list(items) == [1, 2, 3]


def test_leaf_asks_such_a_token_seldom_while_items_are_cheap(core):
    """Each answer takes Python; a token of this core is looked at each time."""

    class Token:
        asked = 0

        @property
        def is_set(self):
            Token.asked += 1
            return False

    if core.__name__ == "python":
        pytest.skip("there each token takes Python")
    leaf = core.Leaf(range(100_000), 0, 100_000, 1 << 62, 4, None, Token(), False)
    begin_ns = time.perf_counter_ns()
    assert len(list(leaf)) == 100_000
    elapsed_ns = time.perf_counter_ns() - begin_ns
    assert 1 <= Token.asked <= 2 + elapsed_ns // 500_000


def test_leaf_that_is_less_than_a_position_halts(core, make):
    token = core.CancelToken()
    leaf = make(range(1000), 0, 1000, interval=4, run_token=token, halts=True)
    items = iter(leaf)
    next(items)
    token.is_set = True
    halted = signals.Halted if core.__name__ == "python" else core.Halted
    with pytest.raises(halted):
        list(items)
    whole = make(range(3), 0, 3, interval=4, run_token=core.CancelToken(), halts=True)
    assert list(whole) == [0, 1, 2]


def test_leaf_raises_what_such_a_token_raises(make):
    token = SimpleNamespace(is_set=False)
    leaf = make(range(1000), 0, 1000, interval=4, job_token=token)
    items = iter(leaf)
    next(items)
    del token.is_set
    until_asked_again()
    with pytest.raises(AttributeError, match="is_set"):
        list(items)


def test_leaf_ends_when_its_worker_has_nothing_to_offer(open_pool, core, make):
    """The deque is empty when the leaf looks: somebody took all there was.

    1. a job with something in its deque makes a leaf, which goes on over it;
    2. the job takes it back; the next look ends the leaf.
    """

    def work(pool):
        worker = core.current_worker()
        other, _ = pool.make(int)
        worker.push(other)
        leaf = make(range(10_000), 0, 10_000, watches_demand=True)
        items = iter(leaf)
        before = [next(items) for _ in range(100)]
        assert worker.deque.pop() is other
        rest = list(items)
        return len(before), 100 + len(rest) == leaf.taken < 10_000

    with open_pool(1) as pool:
        assert pool.run(work, pool) == (100, True)


def test_leaf_of_numbers_keeps_their_values(make):
    numbers = [
        0.0,
        -0.0,
        math.inf,
        -math.inf,
        1e-320,
        2**62,
        -(2**62),
        2**100,
        True,
        -5,
    ]
    out = list(make(numbers, 0, len(numbers)))
    assert list(map(repr, out)) == list(map(repr, numbers))
    assert [type(x) for x in out] == [type(x) for x in numbers]


def test_leaf_keeps_what_is_known_by_its_identity(make):
    class Number(float):
        pass

    items = [math.nan, Number(1.5), None, "text", [1]]
    for source in (items, tuple(items)):
        out = list(make(source, 0, len(items)))
        assert all(a is b for a, b in zip(out, items, strict=True))


def test_leaf_holds_no_reference_when_it_is_gone(make):
    item = object()
    items = [item] * 300
    before = sys.getrefcount(item)
    leaf = make(items, 0, 300)
    iterator = iter(leaf)
    for _ in range(100):
        next(iterator)
    del leaf, iterator
    assert sys.getrefcount(item) == before


@pytest.mark.parametrize(
    ("source", "start", "stop", "interval"),
    [([1], -1, 0, 1), ([1], 1, 0, 1), ([1], 0, 1, 0)],
)
def test_misuse_of_a_leaf(make, source, start, stop, interval):
    with pytest.raises(ValueError, match="a leaf needs"):
        make(source, start, stop, interval=interval)


def test_misuse_list_that_is_too_short(make):
    with pytest.raises((RuntimeError, IndexError)):
        list(make([1, 2], 0, 3))
    with pytest.raises((RuntimeError, IndexError)):
        list(make((1, 2), 0, 3))
