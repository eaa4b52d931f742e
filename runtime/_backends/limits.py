"""Limits of the interpreter that a program has set, for its workers.

They are set for an interpreter, and a new one has the default. Those are carried that
decide whether a function works at all; what changes its speed or its messages is not
(docs/howto/choose-a-backend.md lists it).

Layer: backends, both sides.
"""

import sys

__all__ = ("Limits", "limits", "set_limits")

# The recursion limit; how many digits an int may have that becomes text, or was.
type Limits = tuple[int, int]


def limits() -> Limits:
    """Return the limits of this interpreter."""
    return sys.getrecursionlimit(), sys.get_int_max_str_digits()


def set_limits(limits: Limits) -> None:
    """Make them this interpreter's own."""
    recursion_limit, max_digits = limits
    sys.set_int_max_str_digits(max_digits)
    try:
        sys.setrecursionlimit(recursion_limit)
    except RecursionError:  # so low that it is already reached here
        pass
