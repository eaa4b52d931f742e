"""Have the constants in a function's code counted by nobody.

A number such as ``0.5`` in the code of a function is one object that every call counts.
On free-threaded builds constants are immortal, and so not counted, if the code was made
after the first thread had started, or loaded from a ``.pyc`` file. But the code of a
module that was compiled in this very run, before the first thread, has mortal ones, and
two workers that call its functions are then slower than one (0.46 times, measured).

Making a code object again, by ``code.replace()``, makes its constants immortal, those
of the old code included since they are the same objects. So that is done once for each
function of a chain, for functions inside of it, and for those of its module that it
names, unless the chain ends with its first leaf.

Layer: iter.
"""

from functools import partial
from types import CodeType, FunctionType, MethodType
from typing import Any

from .._util import is_gil_enabled

__all__ = ("settle_constants",)

# So many functions are followed from one; arbitrary.
MAX_FUNCTIONS = 100

# By identity, for speed; holding them, so that no identity is used again.
_settled: dict[int, CodeType] = {}  # atomic: single operations


def settle_constants(fn: Any) -> None:
    """Make the constants of a function immortal, and of those that it names."""
    if is_gil_enabled():
        return
    waiting = [fn]
    for _ in range(MAX_FUNCTIONS):
        if not waiting:
            return
        waiting += _settle_one(waiting.pop())


def _settle_one(fn: Any) -> list[Any]:
    """Settle one function, if it is new; return those that it names."""
    if type(fn) is partial:
        return [fn.func]
    if type(fn) is MethodType:
        return [fn.__func__]
    if type(fn) is not FunctionType or id(fn.__code__) in _settled:
        return []
    codes = [fn.__code__]
    names: set[str] = set()
    while codes:
        code = codes.pop()
        _settled[id(code)] = code
        code.replace()
        names.update(code.co_names)
        codes += [inner for inner in code.co_consts if isinstance(inner, CodeType)]
    named = [fn.__globals__.get(name) for name in names]
    return [other for other in named if type(other) is FunctionType]
