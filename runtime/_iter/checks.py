"""What a chain's adaptors and their like refuse at the call.

Layer: iter. Imports: nothing of ours.
"""

from operator import index
from typing import Any

__all__ = ("check_callable", "check_number")


def check_callable(name: str, fn: Any) -> None:
    """Raise TypeError unless ``name()`` was given a function, or ``filter()`` None."""
    if not callable(fn) and not (fn is None and name == "filter"):
        raise TypeError(f"{name}() takes a function, not {fn!r}")


def check_number(value: Any, least: int, name: str) -> None:
    """Raise unless the value is an integer, be it NumPy's, that is enough."""
    try:
        index(value)
    except TypeError:
        raise TypeError(f"{name} must be an int, not {value!r}") from None
    if value < least:
        raise ValueError(f"{name} must be at least {least}, not {value!r}")
