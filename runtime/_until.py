"""The items of an iterable, up to the moment when a token is set.

A loop that calls the user's function for one item after the other takes its items from
here, so that no call begins once its work was cancelled. The native core has a twin
(``_native/until.c``), in which a look costs a nanosecond or two.

Both sides of a pool of interpreters import this file, so it imports little.

Layer: rank 0.
"""

TYPE_CHECKING = False  # not from typing, which is slow to import
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

__all__ = ("Until",)


class Until:  # not generic: that imports typing
    """Items, iterated over once, until a token is set.

    Args:
      items: Any iterable.
      token: Something with ``is_set``; for the native twin a `CancelToken`, or an
        encoded job.

    Thread safety: externally synchronized; any thread sets the token.
    """

    __slots__ = ("_items", "_token")

    def __init__(self, items: "Iterable[Any]", token: "Any", /) -> None:
        self._items = items  # immutable
        self._token = token  # immutable

    def __iter__(self) -> "Iterator[Any]":
        token = self._token
        for item in self._items:
            if token.is_set:
                return
            yield item
