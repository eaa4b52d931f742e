"""A worker's own copy of a function does what the function does."""

import functools
import threading
from types import FunctionType

import pytest

import runtime
from runtime._iter import private as private_module
from runtime._iter.private import private

FACTOR = 1000


@pytest.fixture(autouse=True)
def everywhere(monkeypatch):
    """Copy on builds with a GIL, too."""
    monkeypatch.setattr(private_module, "is_gil_enabled", lambda: False)


def module_function(x):
    return x * FACTOR


def make_scaler(factor, offset=5000):
    def scale(x, *, extra=10**6):
        return x * factor + offset + extra

    return scale


def make_counter():
    total = 1000

    def add(x):
        nonlocal total
        total += x
        return total

    def read(x):
        return total + x

    return add, read


class Scaler:
    factor = 3000

    def method(self, x):
        return x * self.factor

    def make(self):
        return lambda x: x * self.factor


@pytest.mark.parametrize(
    "fn",
    [
        module_function,
        make_scaler(3000),
        make_scaler(2.5),
        lambda x: x + FACTOR,
        functools.partial(divmod, 10**6),
        functools.partial(make_scaler(7), extra=3),
        Scaler().method,
        Scaler().make(),
        Scaler,
        str,
        len,
        "abc".__mul__,
    ],
)
def test_copy_does_the_same(fn):
    copy = private(fn)
    argument = "text" if fn is len else 12
    if fn is Scaler:
        assert copy is fn
        return
    assert copy(argument) == fn(argument)


def test_module_functions_and_builtins_are_not_copied():
    for fn in (module_function, Scaler, len, str.upper):
        assert private(fn) is fn


def test_closure_is_copied_with_its_cells_and_their_numbers():
    fn = make_scaler(3000)
    copy = private(fn)
    assert isinstance(copy, FunctionType)
    assert copy is not fn
    for ours, theirs in zip(copy.__closure__, fn.__closure__, strict=True):
        assert ours is not theirs
        assert ours.cell_contents == theirs.cell_contents
        assert ours.cell_contents is not theirs.cell_contents


def test_variable_that_is_assigned_inside_stays_shared():
    add, read = make_counter()
    assert private(add)(5) == 1005
    assert private(read)(0) == 1005
    assert private(read).__closure__ == read.__closure__


def test_closure_of_an_unknown_maker_keeps_its_cells():
    namespace = {}
    exec("def make(n):\n def f(x):\n  return x + n\n return f", namespace)
    fn = namespace["make"](1000)
    fn = FunctionType(fn.__code__, {}, fn.__name__, None, fn.__closure__)
    fn.__qualname__ = "make.<locals>.f"
    assert private(fn).__closure__ is not None
    assert private(fn).__closure__[0] is fn.__closure__[0]


def test_empty_cell_stays_shared():
    def use(x):
        return later + x

    copy = private(use)
    later = 1000
    assert copy(1) == use(1) == 1001


def test_recursive_closure_works():
    def fib(n):
        return n if n < 2 else fib(n - 1) + fib(n - 2)

    assert private(fib)(10) == 55


def test_chain_sees_its_own_assignments(pair, splitting):
    """A closure that counts with ``nonlocal`` counts every item."""
    seen, lock = 0, threading.Lock()

    def see(_item):
        nonlocal seen
        with lock:
            seen += 1

    runtime.par_iter(range(5000)).for_each(see)
    assert seen == 5000
