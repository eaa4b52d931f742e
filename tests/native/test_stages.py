"""The stages of both cores: the builtins, but that a StopIteration is an error."""

import gc
import itertools
import weakref
from functools import partial
from itertools import repeat
from types import SimpleNamespace

import pytest

from runtime._core import leaf as python_leaf
from runtime._core import signals
from runtime._core import stages as python_stages


@pytest.fixture
def stages(core):
    """The stages of one core, its signals and what makes a pace without an end."""
    is_python = core.__name__ == "python"
    home = python_stages if is_python else core
    leaf = python_leaf.Leaf if is_python else core.Leaf

    def pace(token=None):
        return leaf(repeat(None), 0, 1 << 62, 1 << 62, 1, token, None, False, True)

    return SimpleNamespace(
        mapped=home.mapped,
        star_mapped=home.star_mapped,
        filtered=home.filtered,
        filter_mapped=home.filter_mapped,
        inspected=home.inspected,
        flat_mapped=lambda fn, items, token=None: home.flat_mapped(
            fn, items, pace(token)
        ),
        StopRaised=signals.StopRaised if is_python else core.StopRaised,
        Halted=signals.Halted if is_python else core.Halted,
        CancelToken=core.CancelToken,
    )


def is_odd(item):
    return item % 2


def odd_or_none(item):
    return item if item % 2 else None


CALLS = ["mapped", "star_mapped", "filtered", "filter_mapped", "inspected"]


def test_stages_give_what_the_builtins_give(stages):
    numbers = range(20)
    assert list(stages.mapped(str, iter(numbers))) == list(map(str, numbers))
    for fn in (is_odd, None, bool):
        assert list(stages.filtered(fn, iter(numbers))) == list(filter(fn, numbers))
    assert list(stages.filter_mapped(odd_or_none, iter(numbers))) == [*range(1, 20, 2)]
    seen = []
    assert list(stages.inspected(seen.append, iter(numbers))) == seen == [*numbers]
    pairs = [(1, 2), [3, 4], iter((5, 6))]
    assert list(stages.star_mapped(max, iter(pairs))) == [2, 4, 6]
    flat = stages.flat_mapped(range, iter([2, 0, 3]))
    assert list(flat) == [0, 1, 0, 1, 2]


def test_stages_are_lazy_and_end_like_their_items(stages):
    for name in ("mapped", "filtered", "filter_mapped", "inspected", "flat_mapped"):
        stage = getattr(stages, name)
        numbers = iter(range(3))
        items = stage(lambda x: [x + 1], numbers)
        next(items)
        assert next(numbers) == 1
        assert len(list(items)) == 1
        assert list(items) == []


class Methods:
    """Ways to be called: bound, as a static or class method, as an instance."""

    def bound(self, item):
        return item, self

    @staticmethod
    def static(item):
        return item, None

    @classmethod
    def of_class(cls, item):
        return item, cls

    def __call__(self, item):
        return item, self


class Pair:
    """A class that is called to be made."""

    def __init__(self, item):
        self.item = item


def test_stages_call_whatever_can_be_called(stages):
    owner = Methods()
    fns = (owner.bound, owner.static, owner.of_class, owner, partial(pow, 2), float)
    for fn in fns:
        assert list(stages.mapped(fn, iter([1, 2]))) == [fn(1), fn(2)]
        assert list(stages.star_mapped(fn, iter([(1,), [2]]))) == [fn(1), fn(2)]
    assert [pair.item for pair in stages.mapped(Pair, iter([1, 2]))] == [1, 2]


def fail(*_):
    raise StopIteration("mine")


@pytest.mark.parametrize("name", [*CALLS, "flat_mapped"])
def test_stop_of_the_function_is_no_end(stages, name):
    items = getattr(stages, name)(fail, iter([(1,), (2,)]))
    with pytest.raises(stages.StopRaised) as caught:
        list(items)
    (error,) = caught.value.args
    assert type(error) is StopIteration
    assert error.args == ("mine",)


def test_stop_of_an_item_s_own_iterator_is_its_end(stages):
    items = stages.flat_mapped(lambda x: map(fail, [x]), iter([1, 2]))
    assert list(items) == []


def test_flat_map_of_what_has_no_items_is_an_error(stages):
    with pytest.raises(TypeError, match="not iterable"):
        list(stages.flat_mapped(abs, iter([1])))


def test_flat_map_halts_within_one_call(stages):
    token = stages.CancelToken()
    items = stages.flat_mapped(itertools.count, iter([0]), token)
    assert [next(items), next(items)] == [0, 1]
    token.is_set = True
    with pytest.raises(stages.Halted):
        for _ in items:
            pass


async def later(*_):
    pass


async def later_and_more(*_):
    yield


@pytest.mark.parametrize("name", CALLS)
def test_unawaited_value_of_the_function_is_an_error_that_names_it(stages, name):
    with pytest.raises(TypeError, match="later returned a coroutine"):
        list(getattr(stages, name)(later, iter([(1,)])))
    with pytest.raises(TypeError, match="later_and_more returned an async generator"):
        list(getattr(stages, name)(later_and_more, iter([(1,)])))


def test_leak_stages_let_go_of_function_and_items(stages):
    class Function:
        def __call__(self, item):
            return [item]

    class Items(list):
        pass

    for name in (*CALLS, "flat_mapped"):
        function, items = Function(), Items([(1,), (2,)])
        refs = weakref.ref(function), weakref.ref(items)
        stage = getattr(stages, name)(function, iter(items))
        next(stage)
        del function, items, stage
        gc.collect()
        assert [ref() for ref in refs] == [None, None]


@pytest.mark.parametrize("name", CALLS)
def test_misuse_stage_without_an_iterator(stages, name):
    with pytest.raises(TypeError):
        list(getattr(stages, name)(abs, 3))
