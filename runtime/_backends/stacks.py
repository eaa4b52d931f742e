"""What a worker tells home besides answers: a job's stack, modules that were refused.

It goes as a question does, and is told from one by its first frame, which is empty.

Layer: backends, both sides.
"""

from .encoding import dumps, loads

TYPE_CHECKING = False  # not from typing, which is slow to import
if TYPE_CHECKING:
    from typing import Any

    from .._core.sighting import Stack
    from .refused import Refused

__all__ = ("REFUSED", "STACK", "decode_told", "encode_refused", "encode_stack")

STACK, REFUSED = range(2)


def encode_stack(stack: "Stack") -> tuple[object, ...]:
    """Return the frames of a stack."""
    return b"", dumps((STACK, stack))[0]


def encode_refused(refused: "Refused") -> tuple[object, ...]:
    """Return the frames of some names of modules."""
    return b"", dumps((REFUSED, refused))[0]


def decode_told(frames: tuple["Any", ...]) -> "tuple[int, Any] | None":
    """Return which of them it is, and what was told; None if it is a question."""
    if len(frames[0]):
        return None
    told: tuple[int, Any] = loads(frames[1])
    return told
