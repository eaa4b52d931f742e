"""Errors that are signals to somebody: from the user's code they are errors.

`StopIteration` ends an iterator, `IndexError` a queue, `GeneratorExit` a generator.
One that a function, a sequence or an item of the user's has raised is never taken for
ours: the terminal raises it, the very object, in a group.
"""

import asyncio
import operator
import queue
from collections.abc import Sequence
from contextlib import contextmanager, nullcontext
from functools import partial

import data_parallel
import pytest
import trio

import runtime

KINDS = [
    StopIteration,
    StopAsyncIteration,
    GeneratorExit,
    IndexError,
    KeyError,
    RuntimeError,
    queue.Empty,
    asyncio.CancelledError,
    trio.EndOfChannel,
    trio.WouldBlock,
]
# For what is long: those that iteration itself knows.
ENDS_OF_ITERATION = KINDS[:4]
COUNT = 20
BAD = 7


class Failing:
    """A function that raises errors of a kind, from one item on.

    Each is an object of its own: two threads that raise one race for its traceback.
    """

    def __init__(self, kind):
        self.kind = kind
        self.raised = set()

    def __call__(self, item, *_):
        if item >= BAD:
            self.now()
        return item

    def now(self, *_):
        error = self.kind("the user's")
        self.raised.add(id(error))
        raise error


class Item:
    """An item whose every operation fails."""

    def __init__(self, fail):
        for name in ("hash", "add", "lt", "bool", "iter"):
            setattr(self, name, fail)

    def __hash__(self):
        return self.hash()

    def __add__(self, _other):
        return self.add()

    def __lt__(self, _other):
        return self.lt()

    def __gt__(self, _other):
        return self.lt()

    def __bool__(self):
        return self.bool()

    def __iter__(self):
        return self.iter()


class Numbers(Sequence):
    """A sequence that cannot give one of its items."""

    def __init__(self, fail):
        self.fail = fail

    def __len__(self):
        return COUNT

    def __getitem__(self, place):
        if isinstance(place, slice):
            return [self.fail(item) for item in range(COUNT)[place]]
        return self.fail(place)


class Pulled:
    """An iterator that fails at one of its items."""

    def __init__(self, fail):
        self.fail = fail
        self.numbers = iter(range(COUNT))

    def __iter__(self):
        return self

    def __next__(self):
        return self.fail(next(self.numbers))


def first(_scratch, item):
    return item


ADAPTORS = {
    "map": lambda chain, fail: chain.map(fail),
    "starmap": lambda chain, fail: chain.enumerate().starmap(fail),
    "filter": lambda chain, fail: chain.filter(fail),
    "filter_map": lambda chain, fail: chain.filter_map(fail),
    "flat_map": lambda chain, fail: chain.flat_map(lambda item: [fail(item)]),
    "flat_map's iter": lambda chain, fail: chain.flat_map(lambda _: Item(fail.now)),
    "inspect": lambda chain, fail: chain.inspect(fail),
    "map_init": lambda chain, fail: chain.map_init(list, lambda _, item: fail(item)),
    "map_init's make": lambda chain, fail: chain.map_init(fail.now, first),
    "filter's truth": lambda chain, fail: chain.filter(lambda _: Item(fail.now)),
}

# Those that know places, on top of a stage that fails: over a list only.
PLACES = {
    "chunks": lambda chain, fail: chain.map(fail).chunks(5).map(len),
    "enumerate": lambda chain, fail: chain.map(fail).enumerate(),
    "zip": lambda chain, fail: chain.zip(chain.map(fail)),
    "zip of chunks": lambda chain, fail: chain.zip(chain.map(fail).chunks(5)),
    "chain": lambda chain, fail: chain.take(3).chain(chain.map(fail)),
    "take and skip": lambda chain, fail: chain.map(fail).take(15).skip(2),
    "chunks of chunks": lambda chain, fail: chain.map(fail).chunks(2).chunks(2),
}

TERMINALS = {
    "collect": lambda chain: chain.collect(),
    "set": lambda chain: chain.map(repr).collect(set),
    "dict": lambda chain: chain.map(lambda item: (repr(item), 1)).collect(dict),
    "count": lambda chain: chain.count(),
    "counter": lambda chain: chain.map(repr).counter(),
    "sum": lambda chain: chain.map(repr).map(len).sum(),
    "for_each": lambda chain: chain.for_each(repr),
    "reduce": lambda chain: chain.reduce(lambda a, _: a),
    "reduce_deterministic": lambda chain: chain.reduce_deterministic(lambda a, _: a),
    "fold": lambda chain: chain.fold(list, lambda a, _: a, operator.add),
    "min": lambda chain: chain.min(repr),
    "max": lambda chain: chain.max(repr),
    "any": lambda chain: chain.any(lambda _: False),
    "all": lambda chain: chain.all(lambda _: True),
    "find_any": lambda chain: chain.find_any(lambda _: False),
    "find_first": lambda chain: chain.find_first(lambda _: False),
    "partition": lambda chain: chain.partition(bool),
}

# The functions of the terminals themselves, and what they do with items.
ENDS = {
    "for_each": lambda chain, fail: chain.for_each(fail),
    "reduce": lambda chain, fail: chain.reduce(lambda _, item: fail(item)),
    "reduce_deterministic": lambda chain, fail: chain.reduce_deterministic(fail.now),
    "reduce's initial": lambda chain, fail: chain.take(1).reduce(fail.now, 0),
    "deterministic's initial": lambda chain, fail: chain.take(1).reduce_deterministic(
        fail.now, 0
    ),
    "fold's make": lambda chain, fail: chain.fold(fail.now, first, operator.add),
    "fold's make, empty": lambda chain, fail: chain.take(0).fold(
        fail.now, first, operator.add
    ),
    "fold's step": lambda chain, fail: chain.fold(list, fail.now, operator.add),
    "min": lambda chain, fail: chain.min(fail),
    "max": lambda chain, fail: chain.max(fail),
    "any": lambda chain, fail: chain.any(lambda item: fail(item) < 0),
    "all": lambda chain, fail: chain.all(lambda item: fail(item) >= 0),
    "find_any": lambda chain, fail: chain.find_any(lambda item: fail(item) < 0),
    "find_first": lambda chain, fail: chain.find_first(lambda item: fail(item) < 0),
    "position": lambda chain, fail: chain.position(lambda item: fail(item) < 0),
    "partition": lambda chain, fail: chain.partition(fail),
    "items' hash": lambda chain, fail: chain.map(lambda _: Item(fail.now)).counter(),
    "items' sum": lambda chain, fail: chain.map(lambda _: Item(fail.now)).sum(
        Item(fail.now)
    ),
    "items' order": lambda chain, fail: chain.map(lambda _: Item(fail.now)).min(),
    "items' truth": lambda chain, fail: chain.map(lambda _: Item(fail.now)).any(),
}

SOURCES = {
    "list": lambda: runtime.par_iter(list(range(COUNT))),
    "iterator": lambda: runtime.par_iter(iter(range(COUNT))),
}
by_end = pytest.mark.parametrize(
    "kind", ENDS_OF_ITERATION, ids=lambda kind: kind.__name__
)
by_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)


def check_raised(what, fail, run):
    """Check that the group has the user's error, as often as it was noted."""
    with pytest.raises(BaseExceptionGroup) as caught:
        pytest.fail(f"{what}: no error, but {run()!r}")
    assert {id(error) for error in caught.value.exceptions} <= fail.raised, what


@pytest.fixture(params=["whole", "split"])
def pieces(request, eager):
    """Chains that end with their first leaf, and chains of single items."""
    with eager() if request.param == "split" else nullcontext():
        yield


@by_end
@pytest.mark.parametrize("source", SOURCES)
def test_signal_of_an_adaptor_is_raised_by_every_terminal(pair, pieces, source, kind):
    for name, adapted in ADAPTORS.items():
        for terminal, run in TERMINALS.items():
            fail = Failing(kind)
            chain = adapted(SOURCES[source](), fail)
            check_raised((name, terminal), fail, partial(run, chain))


@by_end
def test_signal_below_what_knows_places_is_raised(pair, pieces, kind):
    for name, adapted in PLACES.items():
        for terminal, run in TERMINALS.items():
            fail = Failing(kind)
            chain = adapted(SOURCES["list"](), fail)
            check_raised((name, terminal), fail, partial(run, chain))


@by_kind
@pytest.mark.parametrize("source", SOURCES)
def test_signal_of_a_terminal_s_function_is_raised(pair, pieces, source, kind):
    for name, run in ENDS.items():
        fail = Failing(kind)
        check_raised(name, fail, lambda: run(SOURCES[source](), fail))  # noqa: B023


@by_end
def test_signal_of_a_sequence_is_raised(pair, pieces, kind):
    for terminal, run in TERMINALS.items():
        fail = Failing(kind)
        chain = runtime.par_iter(Numbers(fail))
        check_raised(terminal, fail, partial(run, chain))


@by_kind
def test_signal_of_an_iterator_is_raised_unless_it_is_its_end(pair, pieces, kind):
    if kind is StopIteration:
        assert runtime.par_iter(Pulled(Failing(kind))).count() == BAD
        return
    for terminal, run in TERMINALS.items():
        fail = Failing(kind)
        chain = runtime.par_iter(Pulled(fail))
        check_raised(terminal, fail, partial(run, chain))


@by_kind
def test_signal_in_place_and_in_a_job_is_raised(pair, kind):
    fail = Failing(kind)
    chain = runtime.par_iter(range(COUNT)).map(fail)
    check_raised("in a job", fail, lambda: pair.run(chain.count))
    with pytest.raises(kind) as caught:
        runtime.join(int, fail.now)
    assert id(caught.value) in fail.raised
    with pytest.raises(kind) as caught:
        pair.run(fail.now)
    assert id(caught.value) in fail.raised


@by_kind
def test_signal_in_a_scope_and_a_broadcast_is_raised(pair, kind):
    fail = Failing(kind)

    def scope():
        with runtime.scope() as scope:
            scope.spawn(fail.now)

    check_raised("scope", fail, scope)
    check_raised("broadcast", fail, lambda: runtime.broadcast(fail.now))


@contextmanager
def raises_only(kind):
    """Each worker may meet an item that fails before it hears of another one."""
    with pytest.raises(BaseExceptionGroup) as caught:
        yield
    assert {type(error) for error in caught.value.exceptions} == {kind}


@by_kind
async def test_signal_on_a_pool_is_raised(pool, kind):
    """What crosses comes as an error of the same type, on both backends."""
    fail = partial(data_parallel.raise_from, kind, BAD)
    for source in (range(COUNT), data_parallel.numbers(COUNT)):
        chain = pool.par_iter(source).map(fail)
        with raises_only(kind):
            await chain.count()


@by_kind
async def test_signal_in_a_job_s_own_chain_is_raised(pool, kind):
    fail = partial(data_parallel.raise_from, kind, BAD)
    with raises_only(kind):
        await pool.spawn_cpu_work(data_parallel.chain, fail, range(COUNT))


@by_kind
async def test_signal_on_an_inline_pool_is_raised(inline, kind):
    fail = Failing(kind)
    with pytest.raises(BaseExceptionGroup) as caught:
        await inline.par_iter(range(COUNT)).map(fail).count()
    assert {id(error) for error in caught.value.exceptions} <= fail.raised


def test_cancellation_that_nobody_asked_for_leaves_a_scope(pair):
    """What did not begin because of it must not look as if it had been done."""
    begun = []

    def cancel():
        raise runtime.JobCancelled

    def scope():
        with runtime.scope() as scope:
            scope.spawn(begun.append, 1)
            scope.spawn(cancel)

    with pytest.raises(runtime.JobCancelled):
        pair.run(scope)
