"""Where an item's error is its result: ``on_error="return"``.

An item or a result that cannot cross has that as its error, and harms no other. Only
an exception that is no `Exception`, raised as one is pickled, fails all.

Layer: backends, both sides.
"""

from functools import partial

import outcome

from .._unawaited import UNAWAITED
from .encoding import send_as
from .leaf import refuse_coroutine
from .native_parts import value_outcome

TYPE_CHECKING = False  # as in all files that a worker's interpreter imports
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from .._errors import CrossingError

__all__ = (
    "capturing",
    "is_capturing",
    "sendable_block",
    "sendable_items",
    "sendable_results",
)


# Of so many items of a piece it is told which part of them cannot cross. Arbitrary.
MAX_LOOKS = 10


class Unsent:
    """Crosses in the place of an item that cannot."""

    __slots__ = ("error",)

    def __init__(self, error: "CrossingError") -> None:
        self.error = error  # immutable


def _made_value(content: object) -> "outcome.Maybe[object]":
    made: outcome.Maybe[object] = value_outcome(content)
    return made


def _reduce_value(value: "outcome.Value[object]") -> "tuple[Any, ...]":
    if value._unwrapped:  # noqa: SLF001  # of the user's; it has to stay so
        return value.__reduce_ex__(5)  # type: ignore[return-value]
    return _made_value, (value.value,)


# A fraction of what the object's own way takes, at both ends.
send_as(outcome.Value, _reduce_value)


def capturing[T, R](
    fn: "Callable[[T], R]",
) -> "Callable[[T | Unsent], outcome.Maybe[R]]":
    """Return a function that returns what ``fn`` does for an item as an outcome."""
    return partial(_captured, fn)


def is_capturing(call: object) -> bool:
    """Return whether `capturing` made it."""
    return isinstance(call, partial) and call.func is _captured


def _captured[T, R](fn: "Callable[[T], R]", item: "T | Unsent") -> outcome.Maybe[R]:
    if type(item) is Unsent:
        return outcome.Error(item.error)
    try:
        value = fn(item)  # type: ignore[arg-type]
        if type(value) in UNAWAITED:
            refuse_coroutine(fn, value)
        return outcome.Value(value)
    except Exception as error:  # control flow passes through
        return outcome.Error(error)


def sendable_items(
    items: "Sequence[object]", first: int | None, error: Exception
) -> list[object]:
    """Return the items with an `Unsent` for each that cannot cross.

    Args:
      first: As for `blame.item_name`.
      error: What sending them raised.

    Raises:
      CrossingError: they can cross, each alone, but not together.
    """
    from . import blame  # late: a pool of threads has no use for it

    made: list[object] = []
    unsent_count = 0
    for index, item in enumerate(items):
        reason = blame.refusal([item])
        if reason is None:
            made.append(item)
            continue
        name = blame.item_name(index, first)
        made.append(Unsent(_cannot_cross(item, name, reason, unsent_count)))
        unsent_count += 1
    if blame.refusal(made) is not None:
        raise blame.item_cannot_cross(items, first, error) from error
    return made


def sendable_block(
    call: "Callable[[object], object]", items: list[object], error: Exception
) -> list[object]:
    """Return the items of a `map`'s block as `sendable_items` does.

    Raises:
      CrossingError: the function cannot cross, or an item cannot whose error is not
        its result.
    """
    from . import blame

    blame.check_fn_crosses(call)
    if not is_capturing(call):
        raise blame.item_cannot_cross(items, None, error) from error
    return sendable_items(items, None, error)


def sendable_results(results: "Iterable[outcome.Maybe[object]]") -> list[object]:
    """Return the outcomes with an error for each value that cannot cross."""
    from . import blame

    made: list[object] = []
    unsent_count = 0
    for result in results:
        value = result.value if type(result) is outcome.Value else None
        reason = blame.refusal(value)
        if reason is None:
            made.append(result)
        else:
            error = _cannot_cross(value, "result", reason, unsent_count)
            made.append(outcome.Error(error))
            unsent_count += 1
    return made


def _cannot_cross(
    value: object, name: str, reason: Exception, count_before: int
) -> "CrossingError":
    """Look into the first things for who is to blame; to look takes time."""
    from . import blame

    if count_before < MAX_LOOKS:
        return blame.cannot_cross(value, name, reason)
    return blame.cannot_cross_either(name, reason)
