"""What came of a call, as an answer and frames, and back.

Layer: backends, both sides.
"""

from .._errors import CrossingError
from . import answers, blame
from .encoding import dumps, lend_large, loads

TYPE_CHECKING = False  # not from typing, which is slow to import
if TYPE_CHECKING:
    from typing import Any

__all__ = ("Reply", "decode", "encode", "encode_error")

type Reply = tuple[int, tuple[object, ...]]


def encode(value: object, what: str) -> tuple[object, ...]:
    """Return the frames of a value.

    Raises:
      CrossingError: it cannot cross; names it as ``what``.
    """
    (whole,) = lend_large((value,))
    try:
        data, buffers = dumps(whole)
        return (data, *(buffer.raw() for buffer in buffers))
    except Exception as error:
        raise blame.cannot_cross(value, what, error) from error


def encode_error(error: BaseException) -> Reply:
    """Return the reply that stands for an error; never raises."""
    try:
        return answers.ERROR, (dumps(error)[0],)
    except BaseException as failure:  # no memory, say
        return answers.ERROR, (dumps(CrossingError(repr(type(failure))))[0],)


def decode(data: object, buffers: tuple[object, ...]) -> "Any":
    """Return the object; what is not found by its name is explained."""
    try:
        return loads(data, buffers)
    except (ImportError, AttributeError) as error:
        raise blame.not_found(error) from error
