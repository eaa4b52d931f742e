"""Every adaptor and terminal means what it means in plain Python.

Chains are drawn at random: source, adaptors, terminal, number of workers, and how
readily pieces are split. Each is run and compared with the same chain over a list.
"""

import itertools
import math
import operator
import threading
from array import array
from collections import Counter, deque
from collections.abc import Sequence
from contextlib import aclosing, asynccontextmanager
from copy import copy
from functools import partial, reduce
from types import SimpleNamespace
from zlib import crc32

import hypothesis
import hypothesis.strategies as st
import pytest
import trio

import runtime
from runtime._iter.crossing import run_crossed
from runtime._iter.par import ParIter
from runtime._iter.producers import Blocked
from runtime._iter.sources import producer_of
from runtime._iter.written import BEGINNING


def code(item):
    """Return a number that looks random but follows from the item."""
    return crc32(repr(item).encode())


def wrap(item):
    return ("wrapped", item)


def is_chosen(item):
    return code(item) % 3 != 0


def chosen_or_none(item):
    return item if code(item) % 2 else None


def several(item):
    return [item] * (code(item) % 3)


def swap(a, b):
    return b, a


def with_scratch(scratch, item):
    assert scratch == []
    scratch.append(item)
    return scratch.pop()


# Adaptors: on a chain, and on a list. What they need: nothing, positions ("exact"), or
# also that an iterator has no stage yet ("bare"). What they leave: the same, or less.


def adaptor(on_chain, on_list, needs=None, is_exact=True, is_stage=True):
    return SimpleNamespace(
        on_chain=on_chain,
        on_list=on_list,
        needs=needs,
        is_exact=is_exact,
        is_stage=is_stage,
    )


def item_adaptors():
    """Return adaptors that look at one item at a time."""
    filters = {"is_exact": False}
    return {
        "map": lambda: adaptor(lambda c: c.map(wrap), lambda xs: [wrap(x) for x in xs]),
        "starmap": lambda: adaptor(
            lambda c: c.enumerate().starmap(swap),
            lambda xs: list(itertools.starmap(swap, enumerate(xs))),
            needs="exact",
        ),
        "filter": lambda: adaptor(
            lambda c: c.filter(is_chosen),
            lambda xs: list(filter(is_chosen, xs)),
            **filters,
        ),
        "filter_none": lambda: adaptor(
            lambda c: c.filter(None), lambda xs: list(filter(None, xs)), **filters
        ),
        "filter_map": lambda: adaptor(
            lambda c: c.filter_map(chosen_or_none),
            lambda xs: [x for x in map(chosen_or_none, xs) if x is not None],
            **filters,
        ),
        "flat_map": lambda: adaptor(
            lambda c: c.flat_map(several),
            lambda xs: [y for x in xs for y in several(x)],
            **filters,
        ),
        "inspect": lambda: adaptor(lambda c: c.inspect(code), list),
        "map_init": lambda: adaptor(lambda c: c.map_init(list, with_scratch), list),
    }


def place_adaptors(number, others):
    """Return adaptors that need to know where the items are."""
    places = {"needs": "bare", "is_stage": False}
    return {
        "enumerate": lambda: adaptor(
            lambda c: c.enumerate(number),
            lambda xs: list(enumerate(xs, number)),
            needs="exact",
        ),
        "zip": lambda: adaptor(
            lambda c: c.zip(others, range(number)),
            lambda xs: list(zip(xs, others, range(number), strict=False)),
            **places,
        ),
        "chain": lambda: adaptor(
            lambda c: c.chain(others, set()),
            lambda xs: [*xs, *others],
            needs="length",
            is_stage=False,
        ),
        "chunks": lambda: adaptor(
            lambda c: c.chunks(number + 1),
            lambda xs: list(map(list, itertools.batched(xs, number + 1, strict=False))),
            **places,
        ),
        "take": lambda: adaptor(
            lambda c: c.take(number), lambda xs: xs[:number], **places
        ),
        "skip": lambda: adaptor(
            lambda c: c.skip(number), lambda xs: xs[number:], **places
        ),
        "with_min_len": lambda: adaptor(
            lambda c: c.with_min_len(number + 1), list, is_stage=False
        ),
    }


@st.composite
def adaptors(draw):
    """Draw one adaptor with its arguments."""
    number = draw(st.integers(0, 12))
    others = draw(st.lists(st.integers(-3, 3), max_size=12))
    table = {**item_adaptors(), **place_adaptors(number, others)}
    return table[draw(st.sampled_from(sorted(table)))]()


# Terminals: on a chain, and on a list.


def blockwise_sum(numbers):
    size = Blocked.BLOCK
    blocks = [numbers[i : i + size] for i in range(0, len(numbers), size)]
    return reduce(operator.add, [reduce(operator.add, b) for b in blocks], 0.5)


def seen_by_for_each(chain):
    seen, lock = [], threading.Lock()

    def see(item):
        with lock:
            seen.append(repr(item))

    assert chain.for_each(see) is None
    return sorted(seen)


def folded(chain):
    return chain.fold(list, lambda a, x: [*a, x], operator.add)


TERMINALS = {
    "collect": (lambda c: c.collect(), list),
    "collect_set": (lambda c: c.map(repr).collect(set), lambda xs: set(map(repr, xs))),
    "collect_dict": (
        lambda c: list(c.map(lambda x: (code(x) % 5, x)).collect(dict).items()),
        lambda xs: list({code(x) % 5: x for x in xs}.items()),
    ),
    "for_each": (seen_by_for_each, lambda xs: sorted(map(repr, xs))),
    "reduce": (
        lambda c: c.map(repr).reduce(operator.add, ">"),
        lambda xs: reduce(operator.add, map(repr, xs), ">"),
    ),
    "fold": (folded, list),
    "sum": (lambda c: c.map(code).sum(), lambda xs: sum(map(code, xs))),
    "sum_of_lists": (
        lambda c: c.map(lambda x: [x]).sum([0]),
        lambda xs: sum(([x] for x in xs), [0]),
    ),
    "count": (lambda c: c.count(), len),
    "counter": (
        lambda c: list(c.map(lambda x: code(x) % 3).counter().items()),
        lambda xs: list(Counter(code(x) % 3 for x in xs).items()),
    ),
    "min": (
        lambda c: c.min(key=lambda x: code(x) % 7, default="none"),
        lambda xs: min(xs, key=lambda x: code(x) % 7, default="none"),
    ),
    "max": (
        lambda c: c.map(repr).max(default="none"),
        lambda xs: max(map(repr, xs), default="none"),
    ),
    "any": (lambda c: c.any(), any),
    "any_of": (
        lambda c: c.any(lambda x: code(x) % 9 == 0),
        lambda xs: any(code(x) % 9 == 0 for x in xs),
    ),
    "all": (lambda c: c.all(), all),
    "all_of": (
        lambda c: c.all(lambda x: code(x) % 9),
        lambda xs: all(code(x) % 9 for x in xs),
    ),
    "find_first": (
        lambda c: c.find_first(lambda x: code(x) % 9 == 0, "none"),
        lambda xs: next((x for x in xs if code(x) % 9 == 0), "none"),
    ),
    "find_any": (
        lambda c: code(c.find_any(lambda x: code(x) % 9 == 0, "none")) % 9 == 0,
        lambda xs: any(code(x) % 9 == 0 for x in xs) or code("none") % 9 == 0,
    ),
    "partition": (
        lambda c: c.partition(is_chosen),
        lambda xs: (
            [x for x in xs if is_chosen(x)],
            [x for x in xs if not is_chosen(x)],
        ),
    ),
}


class Words(Sequence):
    """A sequence of a user's own."""

    def __init__(self, items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, position):
        return self.items[position]


class Views:
    """An array in the manner of NumPy's: slices are views, and it says so."""

    ndim = 1
    __array_interface__ = None

    def __init__(self, items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, part):
        assert isinstance(part, slice), "only cut, never indexed"
        return Views(self.items[part])

    def __iter__(self):
        return iter(self.items)


class Endable:
    """Something to iterate over whose length nobody knows."""

    def __init__(self, items):
        self.items = items

    def __iter__(self):
        return iter(self.items)


# Sources: made from a list, so that each can be used twice. A set's order is its own.
SOURCES = {
    "list": list,
    "tuple": tuple,
    "range": lambda xs: range(3, 3 + 2 * len(xs), 2),
    "range_down": lambda xs: range(len(xs), -len(xs), -2),
    "range_of_large": lambda xs: range(10**30, 10**30 + len(xs)),
    "str": lambda xs: "".join(map(str, xs)),
    "bytes": lambda xs: bytes(x % 256 for x in xs),
    "array": lambda xs: array("d", xs),
    "memoryview": lambda xs: memoryview(bytes(x % 256 for x in xs)),
    "dict": lambda xs: dict.fromkeys(xs),
    "dict_items": lambda xs: dict(enumerate(xs)).items(),
    "set": set,
    "deque": deque,
    "sequence": Words,
    "views": Views,
    "iterable": Endable,
    "generator": lambda xs: (x for x in xs),
    "iterator": iter,
}
ITERATORS = {"generator", "iterator", "iterable"}


def run_both(source, steps, terminal, numbers, begin=runtime.par_iter):
    """Return what a chain gives and what plain Python gives."""
    chain = begin(SOURCES[source](numbers))
    items = list(SOURCES[source](numbers))
    is_exact, is_bare = True, True
    is_iterator = source in ITERATORS
    for step in steps:
        is_refused = (step.needs in ("exact", "bare") and not is_exact) or (
            step.needs in ("bare", "length") and is_iterator and not is_bare
        )
        if is_refused:
            with pytest.raises(TypeError, match="collect"):
                step.on_chain(chain)
            continue
        chain, items = step.on_chain(chain), step.on_list(items)
        is_exact = is_exact and step.is_exact
        is_bare = is_bare and not step.is_stage
    on_chain, on_list = TERMINALS[terminal]
    return on_chain(chain), on_list(items)


@pytest.mark.parametrize("workers", [1, 2, 4])
@pytest.mark.parametrize("terminal", TERMINALS)
def test_chain_means_what_plain_python_means(workers, terminal, eager):
    with runtime.open_sync_pool(workers):

        @hypothesis.given(
            st.sampled_from(sorted(SOURCES)),
            st.lists(adaptors(), max_size=4),
            st.lists(st.integers(-1000, 1000), max_size=60),
            st.sampled_from([0, 1000, 100_000]),
            st.booleans(),
        )
        @hypothesis.settings(max_examples=12)
        def check(source, steps, numbers, split_ns, combines):
            with eager(split_ns, combines=combines):
                ours, plain = run_both(source, steps, terminal, numbers)
            assert ours == plain

        check()


class Crossing:
    """What stands for a pool of interpreters: nothing is shared but what is sent."""

    def __init__(self, worker_count):
        self.worker_count = worker_count

    def par_iter(self, data):
        return ParIter(producer_of(data), self._run, BEGINNING)

    def _run(self, steps, *chain):
        return trio.run(partial(run_crossed, self, *chain, name="chain"))

    @asynccontextmanager
    async def map(self, fn, source, *, max_in_flight, ordered):
        assert max_in_flight == 2 * self.worker_count
        assert not ordered
        async with aclosing(self._results(fn, source)) as results:
            yield results

    async def _results(self, fn, source):
        """Yield as many results as are in flight, the last one first."""
        terminal, *nothing = fn.args
        assert not nothing
        ready = []
        async for stretch in source:
            ready.append(fn.func(copy(terminal), stretch))
            if len(ready) == 2 * self.worker_count:
                while ready:
                    yield ready.pop()
        while ready:
            yield ready.pop()


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("terminal", TERMINALS)
def test_chain_in_stretches_means_what_plain_python_means(workers, terminal):
    @hypothesis.given(
        st.sampled_from(sorted(SOURCES)),
        st.lists(adaptors(), max_size=4),
        st.lists(st.integers(-1000, 1000), max_size=60),
    )
    @hypothesis.settings(max_examples=12)
    def check(source, steps, numbers):
        begin = Crossing(workers).par_iter
        ours, plain = run_both(source, steps, terminal, numbers, begin)
        assert ours == plain

    check()


def test_failure_in_a_stretch_is_raised_in_a_group():
    begin = Crossing(2).par_iter
    with pytest.RaisesGroup(ValueError):
        begin("12x4").map(int).sum()
    with pytest.RaisesGroup(TypeError):  # where totals come together
        begin([1, "a"]).sum()
    with pytest.RaisesGroup(OSError):
        begin(failing_source()).sum()
    with pytest.raises(runtime.JobCancelled):
        begin([1]).map(cancel).sum()


def failing_source():
    yield 1
    raise OSError("source")


def cancel(_item):
    raise runtime.JobCancelled


def test_chain_in_stretches_shows_its_progress(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert Crossing(2).par_iter(range(500)).progress("stretches").count() == 500
    assert "stretches: [" in capsys.readouterr().err


@pytest.mark.parametrize("source", ["list", "iterator"])
def test_reduce_deterministic_in_stretches_gives_the_same_bits(source):
    numbers = [math.sin(i) * 10 ** (i % 17) for i in range(50_000)]
    chain = Crossing(2).par_iter(SOURCES[source](numbers))
    assert chain.reduce_deterministic(operator.add, 0.5) == blockwise_sum(numbers)


@pytest.mark.parametrize("source", sorted(SOURCES))
def test_source_gives_its_items_in_order(sync_pool, splitting, source):
    numbers = list(range(500))
    expected = list(SOURCES[source](numbers))
    assert runtime.par_iter(SOURCES[source](numbers)).collect() == expected


@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("source", ["list", "iterator"])
def test_reduce_deterministic_gives_the_same_bits(workers, source, eager):
    numbers = [math.sin(i) * 10 ** (i % 17) for i in range(5000)]
    expected = blockwise_sum(numbers)
    assert expected != sum(numbers, 0.5)  # else the test would show nothing
    with runtime.open_sync_pool(workers), eager():
        for _ in range(5):
            chain = runtime.par_iter(SOURCES[source](numbers))
            assert chain.reduce_deterministic(operator.add, 0.5) == expected


def test_reduce_deterministic_after_filter_skips_empty_blocks(sync_pool, splitting):
    chain = runtime.par_iter(range(5000)).filter(lambda x: x >= 4000)
    assert chain.reduce_deterministic(operator.add) == sum(range(4000, 5000))


@pytest.mark.parametrize(
    ("terminal", "error"),
    [
        (lambda c: c.reduce(operator.add), TypeError),
        (lambda c: c.reduce_deterministic(operator.add), TypeError),
        (lambda c: c.min(), ValueError),
        (lambda c: c.max(), ValueError),
    ],
)
def test_empty_chain_without_an_answer_is_an_error(pair, terminal, error):
    for source in ([], iter([]), range(0)):
        with pytest.raises(error, match="empty"):
            terminal(runtime.par_iter(source))


def test_position_counts_from_the_front(sync_pool, splitting):
    chain = runtime.par_iter(range(1000)).skip(10).map(lambda x: x % 100)
    assert chain.position(lambda x: x == 5) == 95
    assert chain.position(lambda x: x == -1) is None
    with pytest.raises(TypeError, match="position"):
        chain.filter(None).position(bool)


def test_numpy_arrays_are_cut_without_copying(sync_pool, splitting):
    numpy = pytest.importorskip("numpy")
    rows = numpy.arange(60).reshape(20, 3)
    assert runtime.par_iter(rows).map(sum).map(int).collect() == [
        sum(row) for row in rows.tolist()
    ]
    seen = runtime.par_iter(rows).map(lambda row: numpy.shares_memory(row, rows))
    assert seen.all()
    column = rows[:, 1]
    assert runtime.par_iter(column).zip(range(20)).collect() == [
        (3 * i + 1, i) for i in range(20)
    ]
    assert runtime.par_iter(column).chunks(7).map(len).collect() == [7, 7, 6]


@pytest.mark.parametrize("make", [range, lambda count: iter(range(count))])
def test_numbers_of_items_beyond_all_bounds(sync_pool, make):
    much = 10**20
    assert runtime.par_iter(make(5)).chunks(much).collect() == [[0, 1, 2, 3, 4]]
    assert runtime.par_iter(make(5)).take(much).collect() == [0, 1, 2, 3, 4]
    assert runtime.par_iter(make(5)).skip(much).collect() == []


@pytest.mark.parametrize(
    "misuse",
    [
        lambda c: c.map(3),
        lambda c: c.filter(3),
        lambda c: c.for_each(None),
        lambda c: c.collect(tuple),
        lambda c: c.chunks(0),
        lambda c: c.take(-1),
        lambda c: c.skip(-1),
        lambda c: c.with_min_len(0),
        lambda c: runtime.par_iter(3),
    ],
)
def test_misuse_is_refused_before_anything_runs(misuse):
    with pytest.raises((TypeError, ValueError)):
        misuse(runtime.par_iter([1]))


@pytest.mark.parametrize(
    ("adaptor", "name"),
    [
        ("chunks", "size"),
        ("take", "count"),
        ("skip", "count"),
        ("with_min_len", "length"),
    ],
)
@pytest.mark.parametrize("wrong", ["x", 1.5, None])
def test_misuse_number_is_named(adaptor, name, wrong):
    with pytest.raises(TypeError, match=f"{name} must be an int, not "):
        getattr(runtime.par_iter([1]), adaptor)(wrong)


def test_range_that_is_longer_than_its_len_can_say(sync_pool):
    assert runtime.par_iter(range(10**30)).take(3).collect() == [0, 1, 2]
    assert runtime.par_iter(range(10**30)).any(lambda n: n > 1000)


def test_chain_repr_is_what_was_written():
    chain = runtime.par_iter([1]).map(wrap).take(3)
    assert repr(chain) == "<runtime.par_iter(...).map(wrap).take(3)>"
