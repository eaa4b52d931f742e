"""Contexts of their own, on both cores."""

import contextvars
import decimal
import sys
from types import SimpleNamespace

import pytest

from runtime import _context as python_context

variable = contextvars.ContextVar("variable", default="unset")


@pytest.fixture
def context(core):
    """`call_each` and `own_context` of one core."""
    found = python_context if core.__name__ == "python" else core
    return SimpleNamespace(call_each=found.call_each, own_context=found.own_context)


def swap(item):
    seen = variable.get()
    variable.set(item)
    return seen


def precision_of(module):
    return module.getcontext().prec


def swap_precision(module, precision):
    seen = precision_of(module)
    module.getcontext().prec = precision
    return seen


def in_new_context(fn, *args):
    return contextvars.Context().run(fn, *args)


@pytest.mark.parametrize("items", [[], [1, 2], (1, 2), range(5), "abc", {1: 2}])
def test_call_each_calls_for_each_item(context, items):
    results = [0]
    assert context.call_each(str, items, results) is None
    assert results == [0, *map(str, items)]
    context.call_each(str, iter(items), results)
    assert results == [0, *map(str, items), *map(str, items)]


def test_call_each_gives_each_item_a_context_of_its_own(context):
    def run(value):
        if value != "unset":
            variable.set(value)
        results = []
        context.call_each(swap, range(50), results)
        return results, variable.get(), len(contextvars.copy_context())

    assert in_new_context(run, "unset") == (["unset"] * 50, "unset", 0)
    assert in_new_context(run, "mine") == (["mine"] * 50, "mine", 1)


def test_call_each_keeps_the_results_before_an_error(context):
    results = []
    with pytest.raises(ZeroDivisionError):
        context.call_each(lambda x: 1 / x, [1, 2, 0, 4], results)
    assert results == [1.0, 0.5]
    assert variable.get() == "unset"


def test_call_each_raises_what_the_items_raise(context):
    def broken():
        yield 1
        raise LookupError("no more")

    results = []
    with pytest.raises(LookupError, match="no more"):
        context.call_each(str, broken(), results)
    assert results == ["1"]
    with pytest.raises(TypeError, match="not iterable"):
        context.call_each(str, 1, [])


def test_call_each_keeps_no_reference(context):
    item = object()
    before = sys.getrefcount(item), sys.getrefcount(swap)
    for _ in range(3):
        context.call_each(swap, [item, item], [])
    assert (sys.getrefcount(item), sys.getrefcount(swap)) == before


def test_native_call_each_refuses_other_arguments(native):
    for args in [(str, []), (str, [], ()), (str, [], [], None)]:
        with pytest.raises(TypeError, match="write call_each"):
            native.call_each(*args)


def test_own_context_is_a_copy(context):
    def run():
        variable.set("mine")
        own = context.own_context()
        own.run(variable.set, "its own")
        return variable.get(), dict(own.items())

    assert in_new_context(run) == ("mine", {variable: "its own"})
    assert not in_new_context(context.own_context)


@pytest.fixture(params=["_decimal", "_pydecimal"])
def module(request):
    """Both of decimal's modules, of which `decimal` is one."""
    return pytest.importorskip(request.param)


def test_decimal_context_is_copied(context, module):
    def run():
        module.getcontext().prec = 9
        own = context.own_context()
        results = []
        context.call_each(lambda x: swap_precision(module, x), range(30, 60), results)
        return results, own.run(swap_precision, module, 50), precision_of(module)

    assert in_new_context(run) == ([9] * 30, 9, 9)


def test_decimal_context_keeps_all_its_settings(context, module):
    def run():
        given = module.getcontext()
        given.traps[module.DivisionByZero] = False
        given.rounding = decimal.ROUND_CEILING
        given.divide(module.Decimal(1), module.Decimal(0))
        own = context.own_context().run(module.getcontext)
        assert own is not given
        return repr(own) == repr(given)

    assert in_new_context(run)


def test_error_of_a_copy_is_raised(context, monkeypatch):
    """What stands where decimal's context does may be anything that can be copied."""

    class Uncopied(decimal.Context):
        def copy(self):
            raise LookupError("no copies")

    def run():
        decimal.setcontext(Uncopied())
        with pytest.raises(LookupError, match="no copies"):
            context.own_context()
        with pytest.raises(LookupError, match="no copies"):
            context.call_each(str, [1, 2], [])
        return True

    assert in_new_context(run)


@pytest.mark.parametrize("stand_in", [None, SimpleNamespace()])
def test_decimal_that_is_not_there_is_not_looked_at(context, monkeypatch, stand_in):
    """Blocked, or in the middle of its import in another thread."""
    monkeypatch.setattr(python_context, "_found", {})
    for name in python_context.DECIMAL_MODULES:
        monkeypatch.setitem(sys.modules, name, stand_in)

    def run():
        variable.set("mine")
        return dict(context.own_context().items())

    assert in_new_context(run) == {variable: "mine"}
