"""Where an item's error is its result: ``on_error="return"``.

An item or a result that cannot cross has that as its error, and harms no other.

Layer: backends, both sides. Imports: `blame`, outcome.
"""

from functools import partial

import outcome

from . import blame

TYPE_CHECKING = False  # as in all files that a worker's interpreter imports
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .._errors import CrossingError

__all__ = (
    "capturing",
    "is_capturing",
    "sendable_block",
    "sendable_items",
    "sendable_results",
)


class Unsent:
    """Crosses in the place of an item that cannot."""

    __slots__ = ("error",)

    def __init__(self, error: "CrossingError") -> None:
        self.error = error  # immutable


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
        return outcome.Value(fn(item))  # type: ignore[arg-type]
    except Exception as error:  # control flow passes through
        return outcome.Error(error)


def sendable_items(items: "Iterable[object]", first: int | None) -> list[object]:
    """Return the items with an `Unsent` for each that cannot cross.

    Args:
      first: As for `blame.item_name`.
    """
    made: list[object] = []
    for index, item in enumerate(items):
        reason = blame.refusal(item)
        if reason is None:
            made.append(item)
        else:
            name = blame.item_name(index, first)
            made.append(Unsent(blame.cannot_cross(item, name, reason)))
    return made


def sendable_block(
    call: "Callable[[object], object]", items: list[object], error: Exception
) -> list[object]:
    """Return the items of a `map`'s block as `sendable_items` does.

    Raises:
      CrossingError: the function cannot cross, or an item cannot whose error is not
        its result.
    """
    blame.check_fn_crosses(call)
    if not is_capturing(call):
        raise blame.item_cannot_cross(items, None, error) from error
    return sendable_items(items, None)


def sendable_results(results: "Iterable[outcome.Maybe[object]]") -> list[object]:
    """Return the outcomes with an error for each value that cannot cross."""
    made: list[object] = []
    for result in results:
        value = result.value if type(result) is outcome.Value else None
        reason = blame.refusal(value)
        if reason is None:
            made.append(result)
        else:
            made.append(outcome.Error(blame.cannot_cross(value, "result", reason)))
    return made
