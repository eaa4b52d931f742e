"""What runs apart: in a copy of the calling context that nobody else sees.

A copy of a context shares the objects in it. The one in the standard library that is
made to be changed is decimal's context, so it is copied, too, where there is one; its
variable has no public name and is found by what `getcontext()` sets in an empty
context.

Only the thread whose context it is may copy it, so whoever pushes does. What was copied
for a push and is never entered itself may be copied again by anybody.

Layer: rank 0.
"""

import sys
from contextvars import Context, copy_context

TYPE_CHECKING = False  # as in all files that a worker's interpreter imports
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextvars import ContextVar
    from typing import Any

__all__ = ("call_each", "decimal_variables", "own_context")

# The one in C, the one in Python.
DECIMAL_MODULES = ("_decimal", "_pydecimal")

_found: "dict[str, ContextVar[Any]]" = {}  # atomic: one value per key


def own_context() -> Context:
    """Return a copy of the calling context for a call that runs elsewhere."""
    context = copy_context()
    if context:
        for variable in decimal_variables():
            if (shared := context.get(variable)) is not None:
                context.run(variable.set, shared.copy())
    return context


def call_each[T, R](
    fn: "Callable[[T], R]", items: "Iterable[T]", results: list[R], /
) -> None:
    """Call ``fn(item)`` for each item, each in a context of its own.

    Args:
      results: Is added to as it goes, so that an error loses no result.
    """
    append = results.append
    for item in items:
        append(own_context().run(fn, item))


def decimal_variables() -> "list[ContextVar[Any]]":
    """Return the variables of those of decimal's modules that were imported."""
    for name in DECIMAL_MODULES:
        if name not in _found and name in sys.modules:
            _find_variable(name)
    return list(_found.values())


def _find_variable(name: str) -> None:
    # While another thread imports it, it may have no `getcontext` yet.
    getcontext = getattr(sys.modules[name], "getcontext", None)
    if getcontext is not None:
        context = Context()
        context.run(getcontext)
        (_found[name],) = context
