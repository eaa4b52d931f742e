"""What a chain's adaptors and their like refuse at the call.

Layer: iter.
"""

from operator import index
from types import BuiltinFunctionType, CoroutineType
from typing import Any

from .._util import check_sync_callable

__all__ = ("SURELY_SYNC", "check_callable", "check_number")

# Of these no call returns a coroutine, so they need no look, for short chains.
SURELY_SYNC = {BuiltinFunctionType, type}


def check_callable(name: str, fn: Any) -> None:
    """Raise TypeError unless ``name()`` was given a function to call on workers."""
    if not callable(fn) and type(fn) is not CoroutineType:
        raise TypeError(f"{name}() takes a function, not {fn!r}")
    check_sync_callable(fn, f"{name}()", "def {name}(...) without async")


def check_number(value: Any, least: int, name: str) -> None:
    """Raise unless the value is an integer, be it NumPy's, that is enough."""
    try:
        index(value)
    except TypeError:
        raise TypeError(f"{name} must be an int, not {value!r}") from None
    if value < least:
        raise ValueError(f"{name} must be at least {least}, not {value!r}")
