"""Parts of the native core for files that both backends use.

Pools of threads work without that core, and their files import this one. There `Until`,
`call_each`, `own_context` and `value_outcome` are those in Python. `pack` and `unpack`
are for plain values and return NotImplemented for the rest; without the native core
nothing crosses, and they are stand-ins.

Layer: backends, both sides.
"""

import os

from .._context import call_each, own_context
from .._until import Until

TYPE_CHECKING = False  # not from typing, which is slow to import
if TYPE_CHECKING:
    from typing import Any

__all__ = (
    "Until",
    "call_each",
    "own_context",
    "pack",
    "unpack",
    "value_outcome",
)


def _leave_to_pickle(_value: object) -> "Any":
    return NotImplemented


def value_outcome(value: "Any") -> "Any":
    """Return ``outcome.Value(value)``."""
    import outcome  # late: not every worker needs it

    return outcome.Value(value)


pack = unpack = _leave_to_pickle
if os.environ.get("RUNTIME_CORE") != "python":
    try:
        from .._native import scheduler
    except ImportError:  # built without a compiler
        pass
    else:
        pack, unpack = scheduler.pack, scheduler.unpack
        Until = scheduler.Until  # type: ignore[misc]
        value_outcome = scheduler.value_outcome
        call_each, own_context = scheduler.call_each, scheduler.own_context
