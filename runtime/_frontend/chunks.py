"""A batch in chunks of a given length: `spawn_chunked_parallel`.

Layer: frontend.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, cast, overload, override

import outcome

from .._backends.captured import capturing
from .._backends.leaf import call_chunk
from .batch import BatchCall
from .options import OnCancelMany, OnError

if TYPE_CHECKING:
    from .intake import Intake

__all__ = ("Chunks", "chunked_call", "chunked_items_call")


def chunked_items_call(
    intake: "Intake",
    fn: Callable[[Any], object],
    chunk_size: int,
    items: Sequence[object],
    *,
    on_error: OnError,
    on_cancel: OnCancelMany,
    lane: int,
) -> BatchCall:
    """Return a batch of a function of one item, cut between chunks only."""
    return BatchCall(
        intake,
        fn,
        items,
        call=fn if on_error == "raise" else capturing(fn),
        leaf_size=chunk_size,
        on_cancel=on_cancel,
        lane=lane,
    )


def chunked_call(
    intake: "Intake",
    fn: Callable[[list[Any]], Iterable[object]],
    chunk_size: int,
    items: Sequence[object],
    *,
    on_error: OnError,
    on_cancel: OnCancelMany,
    lane: int,
) -> BatchCall:
    """Return a batch of a function of a chunk, for which each chunk is an item."""
    call = partial(call_chunk, fn)
    may_fail = on_error == "return"
    return BatchCall(
        intake,
        fn,
        Chunks(items, chunk_size),
        call=capturing(call) if may_fail else call,
        finish=partial(flatten_outcomes, len(items), chunk_size)
        if may_fail
        else flatten,
        on_cancel=on_cancel,
        lane=lane,
    )


class Chunks[T](Sequence[list[T]]):
    """A sequence, seen as the list of its chunks.

    Args:
      items: What is cut.
      chunk_size: Items per chunk, at least 1; the last chunk may be shorter.
    """

    def __init__(self, items: Sequence[T], chunk_size: int) -> None:
        self._items = items
        self._chunk_size = chunk_size

    @override
    def __len__(self) -> int:
        return -(-len(self._items) // self._chunk_size)

    @overload
    def __getitem__(self, index: int) -> list[T]: ...
    @overload
    def __getitem__(self, index: slice) -> list[list[T]]: ...
    @override
    def __getitem__(self, index: int | slice) -> list[T] | list[list[T]]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not 0 <= index < len(self):
            raise IndexError(f"no chunk {index}")  # ends an iteration
        start = index * self._chunk_size
        return list(self._items[start : start + self._chunk_size])


def flatten(chunks: list[object]) -> list[object]:
    """Return the results of all chunks as one list."""
    return list(chain.from_iterable(cast("list[list[object]]", chunks)))


def flatten_outcomes(
    item_count: int, chunk_size: int, outcomes: list[object]
) -> list[object]:
    """Return an outcome for each item; a chunk's error is that of each of its items."""
    results: list[object] = []
    for chunk in cast("list[outcome.Maybe[list[object]]]", outcomes):
        length = min(chunk_size, item_count - len(results))
        if isinstance(chunk, outcome.Value):
            results += map(outcome.Value, chunk.value)
        else:
            results += (outcome.Error(chunk.error) for _ in range(length))
    return results
