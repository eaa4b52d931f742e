"""The stack of a running job, on its way home.

It goes as a question does, and is told from one by its first frame, which is empty.

Layer: backends, both sides. Imports: `encoding`.
"""

from .encoding import dumps, loads

TYPE_CHECKING = False  # not from typing, which is slow to import
if TYPE_CHECKING:
    from typing import Any

    from .._core.sighting import Stack

__all__ = ("decode_stack", "encode_stack")


def encode_stack(stack: "Stack") -> tuple[object, ...]:
    """Return the frames of a stack."""
    return b"", dumps(stack)[0]


def decode_stack(frames: tuple["Any", ...]) -> "Stack | None":
    """Return the stack; None if it is a question."""
    if len(frames[0]):
        return None
    stack: Stack = loads(frames[1])
    return stack
