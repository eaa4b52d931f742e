"""What the native core has for pools of interpreters only; without it, stand-ins.

`pack` and `unpack` are for plain values and return NotImplemented for the rest;
`set_time_slice` tells whether the system could be asked. The stand-ins say no.
`Until`, `call_each` and `own_context` have twins in Python.

Layer: backends, both sides. Imports: `runtime._context`, `runtime._until`,
`runtime._native`, where that is in use.
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
    "set_time_slice",
    "unpack",
    "value_outcome",
)


def _leave_to_pickle(_value: object) -> "Any":
    return NotImplemented


def _ask_nobody(_slice_ns: int) -> bool:
    return False


def value_outcome(value: "Any") -> "Any":
    """Return ``outcome.Value(value)``."""
    import outcome  # late: not every worker needs it

    return outcome.Value(value)


pack = unpack = _leave_to_pickle
set_time_slice = _ask_nobody
if os.environ.get("RUNTIME_CORE") != "python":
    try:
        from .._native import scheduler
    except ImportError:  # built without a compiler
        pass
    else:
        pack, unpack = scheduler.pack, scheduler.unpack
        set_time_slice = scheduler.set_time_slice
        Until = scheduler.Until  # type: ignore[misc]
        value_outcome = scheduler.value_outcome
        call_each, own_context = scheduler.call_each, scheduler.own_context
