"""What rayon's own tests ask of join, scope, broadcast and iterators, in our words.

It follows the tests of rayon-core (join, scope, broadcast, install) and of rayon (iter,
find_first, collect, par_bridge). Here a panic is an error, and of several errors all
are told.
"""

import itertools
import operator
import random
import threading
from collections import Counter

import pytest
from helpers import TIMEOUT

import runtime

NUMBERS = list(range(1024))


# join


def quick_sort(items):
    if len(items) < 2:
        return items
    pivot, *rest = items
    low = [x for x in rest if x < pivot]
    high = [x for x in rest if x >= pivot]
    low, high = runtime.join(quick_sort, low, quick_sort, high)
    return [*low, pivot, *high]


def test_join_sorts(sync_pool):
    items = random.Random(1).choices(range(1000), k=500)
    assert sync_pool.run(quick_sort, items) == sorted(items)


def fail(error):
    raise error


def test_join_first_half_fails_and_the_second_is_not_lost(pair):
    stolen, ended = threading.Event(), threading.Event()

    def first():
        assert stolen.wait(TIMEOUT)
        raise ValueError("first")

    def second():
        stolen.set()
        ended.set()

    with pytest.raises(ValueError, match="first"):
        runtime.join(first, second)
    assert ended.is_set()


def test_join_second_half_fails_and_the_first_has_run(sync_pool):
    ran = []
    with pytest.raises(ValueError, match="second"):
        runtime.join(ran.append, 1, fail, ValueError("second"))
    assert ran == [1]


def test_join_both_halves_fail_and_the_first_error_wins(pair):
    both = threading.Barrier(2)

    def fails(name):
        both.wait(TIMEOUT)
        raise ValueError(name)

    with pytest.raises(ValueError, match="left") as caught:
        runtime.join(fails, "left", fails, "right")
    assert "right" in caught.value.__notes__[0]


def test_join_inside_a_half_that_failed_leaves_the_pool_whole(sync_pool):
    def deep(depth):
        if depth == 0:
            raise KeyError("deep")
        return runtime.join(deep, depth - 1, int, 0)

    for _ in range(10):
        with pytest.raises(KeyError, match="deep"):
            sync_pool.run(deep, 20)
    assert sync_pool.run(quick_sort, [3, 1, 2]) == [1, 2, 3]


# scope


def test_scope_without_calls(sync_pool):
    with runtime.scope():
        pass


def test_scope_value_of_the_block_is_there_after_it(sync_pool):
    with runtime.scope():
        answer = 22
    assert answer == 22


def test_scope_two_calls(sync_pool):
    seen = []
    with runtime.scope() as scope:
        scope.spawn(seen.append, 1)
        scope.spawn(seen.append, 10)
    assert sorted(seen) == [1, 10]


def divide(scope, seen, number):
    """Spawn a call for each half."""
    seen.append(number)
    for half in (number // 2, number - number // 2) if number > 1 else ():
        scope.spawn(divide, scope, seen, half)


def test_scope_divide_and_conquer(sync_pool):
    seen = []
    with runtime.scope() as scope:
        scope.spawn(divide, scope, seen, 1024)
    assert len(seen) == 2 * 1024 - 1
    assert sum(x for x in seen if x == 1) == 1024


def test_scope_inside_a_scope_ends_first(sync_pool):
    order = []

    def inner(name):
        with runtime.scope() as scope:
            for _ in range(5):
                scope.spawn(order.append, name)
        order.append(f"{name} is over")

    with runtime.scope() as scope:
        for name in "ab":
            scope.spawn(inner, name)
    for name in "ab":
        assert order.index(f"{name} is over") > max(
            place for place, seen in enumerate(order) if seen == name
        )


def test_scope_inner_spawns_into_the_outer(sync_pool):
    seen = []

    def inner(outer):
        with runtime.scope() as scope:
            scope.spawn(outer.spawn, seen.append, 1)

    with runtime.scope() as outer:
        for _ in range(10):
            outer.spawn(inner, outer)
    assert seen == [1] * 10


def test_scope_chain_of_calls_that_spawn_the_next(sync_pool):
    """As deep as may be: no call is on the stack of another."""
    seen = []

    def next_one(scope, left):
        seen.append(left)
        if left:
            scope.spawn(next_one, scope, left - 1)

    with runtime.scope() as scope:
        scope.spawn(next_one, scope, 5000)
    assert seen == list(range(5000, -1, -1))


def test_scope_failure_of_the_block_of_a_call_and_of_a_call_s_call(sync_pool):
    with pytest.raises(ValueError, match="block"), runtime.scope():
        raise ValueError("block")
    with pytest.RaisesGroup(KeyError), runtime.scope() as scope:
        scope.spawn(fail, KeyError("call"))
    with pytest.RaisesGroup(KeyError), runtime.scope() as scope:
        scope.spawn(scope.spawn, fail, KeyError("call of a call"))
    with (
        pytest.RaisesGroup(pytest.RaisesGroup(KeyError)),
        runtime.scope() as scope,
    ):
        scope.spawn(runtime.par_iter([1]).for_each, lambda _: fail(KeyError()))


def test_scope_failure_waits_for_what_runs(pair):
    running, may_end, ended = (threading.Event() for _ in range(3))

    def slow():
        running.set()
        assert may_end.wait(TIMEOUT)
        ended.set()

    def fails():
        assert running.wait(TIMEOUT)
        may_end.set()
        raise ValueError

    with pytest.RaisesGroup(ValueError), runtime.scope() as scope:
        scope.spawn(slow)
        scope.spawn(fails)
    assert ended.is_set()


# pools and broadcast


def test_install_where_it_is_installed_and_mutually(pair):
    with runtime.open_sync_pool(2) as other:
        assert pair.run(lambda: other.run(lambda: pair.run(lambda: 22))) == 22
    assert pair.run(lambda: pair.run(lambda: 22)) == 22


def test_install_error_leaves_it(pair):
    with pytest.raises(ZeroDivisionError):
        pair.run(lambda: pair.run(divmod, 1, 0))


def test_broadcast_of_two_pools_in_each_other_counts_all_pairs():
    counts = Counter()
    lock = threading.Lock()

    def count():
        with lock:
            counts["calls"] += 1

    with runtime.open_sync_pool(3) as a, runtime.open_sync_pool(2) as b:
        a.run(runtime.broadcast, lambda: b.run(runtime.broadcast, count))
        b.run(runtime.broadcast, lambda: b.run(runtime.broadcast, count))
    assert counts["calls"] == 3 * 2 + 2 * 2


@pytest.mark.parametrize("bad", ["one", "many", "all"])
def test_broadcast_failures_are_all_told_and_all_calls_made(sync_pool, bad):
    numbers = itertools.count(1)
    made = []

    def call():
        number = next(numbers)
        made.append(number)
        if bad == "all" or number == 1 or (bad == "many" and number % 2):
            raise ValueError(number)

    with pytest.raises(ExceptionGroup) as caught:
        runtime.broadcast(call)
    count = sync_pool.worker_count
    assert sorted(made) == list(range(1, count + 1))
    expected = {"one": 1, "many": -(-count // 2), "all": count}[bad]
    assert len(caught.value.exceptions) == expected


# iterators


@pytest.fixture(params=["whole", "split"], autouse=True)
def pieces(request, eager):
    """Every test of iterators twice: in one piece, and in single items."""
    if request.param == "whole":
        yield
    else:
        with eager():
            yield


EMPTY = {
    "sum": (lambda c: c.sum(), 0),
    "count": (lambda c: c.count(), 0),
    "collect": (lambda c: c.collect(), []),
    "set": (lambda c: c.collect(set), set()),
    "dict": (lambda c: c.collect(dict), {}),
    "min": (lambda c: c.min(default=None), None),
    "max": (lambda c: c.max(default=None), None),
    "any": (lambda c: c.any(bool), False),
    "all": (lambda c: c.all(bool), True),
    "find_first": (lambda c: c.find_first(bool), None),
    "position": (lambda c: c.position(bool), None),
    "partition": (lambda c: c.partition(bool), ([], [])),
    "reduce": (lambda c: c.reduce(operator.add, 7), 7),
    "fold": (lambda c: c.fold(list, operator.add, operator.add), []),
    "flat_map": (lambda c: c.flat_map(range).collect(), []),
    "chunks": (lambda c: c.chunks(3).collect(), []),
    "enumerate": (lambda c: c.enumerate().collect(), []),
}


@pytest.mark.parametrize("name", EMPTY)
def test_nothing_comes_to_the_identity(pair, name):
    run, expected = EMPTY[name]
    for source in ([], (), range(0), "", set(), iter([])):
        if name in {"dict", "chunks", "enumerate"} and isinstance(source, str):
            continue
        assert run(runtime.par_iter(source)) == expected


def test_one_item_is_itself(pair):
    chain = runtime.par_iter([5])
    assert chain.sum() == chain.min() == chain.max() == chain.reduce(max) == 5
    assert chain.collect() == [5]
    assert chain.position(lambda x: x == 5) == 0
    assert chain.chunks(9).collect() == [[5]]


def test_find_first_is_the_first_of_many(sync_pool):
    chain = runtime.par_iter(NUMBERS)
    for step in (1, 7, 100, 1000):
        assert chain.skip(1).find_first(lambda x: x % step == 0) == step  # noqa: B023
    assert chain.position(lambda x: x >= 500) == 500
    assert chain.filter(lambda x: x > 8).find_first(lambda x: x % 5 == 0) == 10
    assert chain.find_any(lambda x: x > 1000) in range(1001, 1024)


def test_first_of_equal_extremes_stays(sync_pool):
    pairs = [(x % 3, x) for x in NUMBERS]
    first = operator.itemgetter(0)
    assert runtime.par_iter(pairs).min(first) == min(pairs, key=first) == (0, 0)
    assert runtime.par_iter(pairs).max(first) == max(pairs, key=first) == (2, 2)


def test_last_of_equal_keys_stays_in_a_dict(sync_pool):
    pairs = [(x % 10, x) for x in NUMBERS]
    assert runtime.par_iter(pairs).collect(dict) == dict(pairs)


def test_flat_map_of_nothing_of_one_and_of_much(sync_pool):
    def several(x):
        return range(x) if x % 3 else iter(())

    plain = [y for x in range(60) for y in several(x)]
    chain = runtime.par_iter(range(60)).flat_map(several)
    assert chain.collect() == plain
    assert chain.count() == len(plain)
    assert chain.flat_map(lambda y: [y, y]).sum() == 2 * sum(plain)
    assert chain.find_first(lambda y: y == 58) == 58


def test_filter_and_map_commute_as_they_should(sync_pool):
    chain = runtime.par_iter(NUMBERS)
    odd = [x for x in NUMBERS if x % 2]
    assert chain.filter(lambda x: x % 2).map(str).collect() == list(map(str, odd))
    assert chain.filter_map(lambda x: str(x) if x % 2 else None).collect() == list(
        map(str, odd)
    )
    assert chain.partition(lambda x: x % 2) == (odd, [x for x in NUMBERS if not x % 2])


def test_places_are_those_of_the_input(sync_pool):
    chain = runtime.par_iter(NUMBERS)
    assert chain.zip(chain).all(lambda pair: pair[0] == pair[1])
    assert chain.enumerate().all(lambda pair: pair[0] == pair[1])
    assert chain.zip(chain.skip(1)).count() == len(NUMBERS) - 1
    assert chain.take(10).chain(chain.skip(1000)).collect() == [
        *range(10),
        *range(1000, 1024),
    ]
    assert chain.chunks(100).map(len).collect() == [100] * 10 + [24]
    assert [x for chunk in chain.chunks(7).collect() for x in chunk] == NUMBERS


def test_take_and_skip_of_all_none_and_too_much(pair):
    chain = runtime.par_iter(NUMBERS)
    assert chain.take(0).collect() == chain.skip(1024).collect() == []
    assert chain.take(9999).collect() == chain.skip(0).collect() == NUMBERS
    assert chain.skip(9999).count() == 0
    assert chain.skip(10).take(5).skip(2).collect() == [12, 13, 14]


def test_fold_is_reduce_and_counts_words(sync_pool):
    words = ["a", "b", "a", "c", "b", "a"] * 50

    def step(counts, word):
        counts[word] += 1
        return counts

    folded = runtime.par_iter(words).fold(Counter, step, operator.add)
    assert folded == runtime.par_iter(words).counter() == Counter(words)


def test_bridge_gives_each_item_once_and_in_order(sync_pool):
    assert runtime.par_iter(iter(NUMBERS)).collect() == NUMBERS
    assert runtime.par_iter(iter(NUMBERS)).filter(lambda x: x % 7 == 0).sum() == sum(
        range(0, 1024, 7)
    )


def test_chain_inside_a_half_and_a_scope(sync_pool):
    total = runtime.par_iter(NUMBERS).sum
    assert runtime.join(total, total) == (sum(NUMBERS), sum(NUMBERS))
    sums = []
    with runtime.scope() as scope:
        for _ in range(5):
            scope.spawn(lambda: sums.append(total()))
    assert sums == [sum(NUMBERS)] * 5
