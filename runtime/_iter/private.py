"""Functions of a worker's own, so that workers do not fight over a count.

On free-threaded builds a function made at run time (a lambda, a closure, a partial, a
bound method) counts its references like any object, and each call takes one. Two
workers calling the same one are slower than one worker. So each leaf but a chain's
first calls a copy that its thread has made: same code, same globals, same defaults.

The variables of a closure live in cells. Reading one takes the cell's lock and a
reference to its content, which is worse still, so cells are copied too, but only
where nobody could tell: if no function inside the one that made the closure ever
assigns to the variable (``nonlocal``). That is read from the code of the enclosing
function, which is found by its name; where it is not found, cells are shared. A
variable that the enclosing function itself goes on to assign to is seen by the next
leaf.

Module-level functions, classes and builtins need none of this and come back as they
are. Builds with a GIL do not either.

Layer: iter.
"""

import dis
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from inspect import CO_NESTED
from types import CellType, CodeType, FunctionType, MethodType
from typing import Any, cast

from .._util import is_gil_enabled

__all__ = ("private",)


def private[F](fn: F) -> F:
    """Return a copy of a function made at run time that no other thread knows."""
    if is_gil_enabled():
        return fn
    return cast("F", _copies.get(type(fn), _unchanged)(fn))


def _unchanged(fn: Any) -> Any:
    return fn


def _copy_function(fn: FunctionType) -> FunctionType:
    if not fn.__code__.co_flags & CO_NESTED:
        return fn  # of a module or a class: never counted
    cells = fn.__closure__
    if cells:
        final = _final_variables(fn.__code__, fn.__qualname__, _enclosing_code(fn))
        cells = tuple(
            _copy_cell(cell) if name in final else cell
            for name, cell in zip(fn.__code__.co_freevars, cells, strict=True)
        )
    copy = FunctionType(
        fn.__code__, fn.__globals__, fn.__name__, fn.__defaults__, cells
    )
    copy.__kwdefaults__ = fn.__kwdefaults__
    copy.__qualname__ = fn.__qualname__  # errors show it
    return copy


def _copy_partial(fn: "partial[Any]") -> "partial[Any]":
    if vars(fn):
        return fn
    keywords = {name: _copy_number(value) for name, value in fn.keywords.items()}
    return partial(private(fn.func), *map(_copy_number, fn.args), **keywords)


def _copy_method(fn: MethodType) -> MethodType:
    return MethodType(fn.__func__, fn.__self__)


_copies: dict[type, Callable[[Any], Any]] = {
    FunctionType: _copy_function,
    partial: _copy_partial,
    MethodType: _copy_method,
}


def _copy_cell(cell: CellType) -> CellType:
    try:
        return CellType(_copy_number(cell.cell_contents))
    except ValueError:  # it is empty so far
        return cell


def _copy_number(value: Any) -> Any:
    """Return an equal number made by this thread; anything else as it is."""
    # Not zero, for its sign, and not NaN, which is equal only to itself.
    if type(value) is float and value and value == value:
        return value * 1.0
    if type(value) is int:
        return value + 1 - 1
    return value


# Which variables of a closure never change


def _enclosing_code(fn: FunctionType) -> CodeType | None:
    """Return the code of the outermost function that `fn` was made in."""
    outermost, found, _ = fn.__qualname__.partition(".<locals>")
    if not found:
        return None
    value: Any = fn.__globals__
    for name in outermost.split("."):
        if isinstance(value, dict):
            value = value.get(name)
        else:
            value = getattr(value, "__dict__", {}).get(name)
        value = getattr(value, "__func__", value)  # of a static or class method
        value = getattr(value, "__wrapped__", value)
    code = getattr(value, "__code__", None)
    return code if isinstance(code, CodeType) else None


@lru_cache(maxsize=256)
def _final_variables(
    code: CodeType, _qualname: str, outermost: CodeType | None
) -> frozenset[str]:
    """Return the free variables of `code` that no inner function assigns to."""
    if outermost is None or not any(inner is code for inner in _inner_codes(outermost)):
        return frozenset()
    assigned = {
        name
        for inner in _inner_codes(outermost)
        for name in _assigned_variables(inner)
        if name in inner.co_freevars
    }
    return frozenset(code.co_freevars) - assigned


def _inner_codes(code: CodeType) -> Iterator[CodeType]:
    """Yield the code of all functions inside another, at any depth."""
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _inner_codes(constant)


def _assigned_variables(code: CodeType) -> Iterator[str]:
    for instruction in dis.get_instructions(code):
        if instruction.opname in {"STORE_DEREF", "DELETE_DEREF"}:
            yield str(instruction.argval)
