"""Context variables on their way to another interpreter.

Those cross that are found by name, as a module's global, with values that pickle.
Decimal's has no name; its context crosses where it is not the one that each thread
begins with.

Layer: backends, both sides.
"""

import sys
from contextvars import Context, ContextVar
from importlib import import_module

from .._context import decimal_variables
from .encoding import dumps

TYPE_CHECKING = False  # not from typing, which is slow to import
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

__all__ = ("Variables", "encode_variables", "set_variables")

# Module, attribute, value. That of decimal's variable has no attribute.
type Variables = tuple[tuple[str, str, object], ...]

# Where variables are that say what runs at home, and must not be believed elsewhere.
# To set one there would mean to import Trio, or pytest, in each interpreter.
_NOT_SENT = ("runtime.", "trio.", "sniffio", "pytest_trio.")

_DECIMAL = "decimal"
_DECIMAL_SETTINGS = ("prec", "rounding", "Emin", "Emax", "capitals", "clamp", "traps")

# Where each variable can be found, None if nowhere. A variable lives for ever.
_names: dict[ContextVar[object], tuple[str, str] | None] = {}


def encode_variables(context: Context) -> Variables:
    """Return the variables that can cross."""
    if not context:
        return ()
    found: list[tuple[str, str, object]] = []
    decimals = decimal_variables()
    for variable, value in context.items():
        if variable in decimals:
            if not _is_default(value) and _crosses(value):
                found.append((_DECIMAL, "", value))
            continue
        try:
            name = _names[variable]
        except KeyError:
            name = _names[variable] = _name_of(variable)
        if name is not None and _crosses(value):
            found.append((*name, value))
    return tuple(found)


def set_variables(variables: Variables) -> None:
    """Set them in the current context."""
    for module, name, value in variables:
        found = import_module(module)
        if module == _DECIMAL:
            found.setcontext(value)
        else:
            getattr(found, name).set(value)


def _name_of(variable: ContextVar[object]) -> tuple[str, str] | None:
    """Return the module and the attribute that a variable is found at."""
    for module_name, module in list(sys.modules.items()):
        for attribute, value in _attributes(module):
            if value is variable:
                if module_name.startswith(_NOT_SENT):
                    return None
                return module_name, attribute
    return None


def _is_default(context: "Any") -> bool:
    """Return whether a context of decimal's computes as one that nobody has changed.

    Every thread that was given none makes itself one, so it says nothing.
    """
    default = import_module(_DECIMAL).DefaultContext
    return all(
        getattr(context, name) == getattr(default, name) for name in _DECIMAL_SETTINGS
    )


def _attributes(module: object) -> "Iterable[tuple[str, object]]":
    return list(getattr(module, "__dict__", {}).items())


def _crosses(value: object) -> bool:
    if value is None or type(value) in (bool, int, float, str, bytes):
        return True
    try:
        dumps(value)
    except Exception:
        return False
    return True
