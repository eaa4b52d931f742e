"""The misuse errors of the calls for many items.

Layer: frontend. Imports: `options`.
"""

import inspect
from collections.abc import AsyncIterable, Iterable

from .options import check_sync_callable

__all__ = ("check_many",)

# How each is called; they differ, so they are mixed up.
_CALLS = {
    "map": "map(fn, items)",
    "spawn_parallel_batch": "spawn_parallel_batch(items, fn)",
    "spawn_chunked_parallel": "spawn_chunked_parallel(items, chunk_size, fn)",
}


def check_many(call: str, fn: object, *others: object) -> None:
    """Raise TypeError unless there is a function and items for it.

    Args:
      call: The public function the user called.
      fn: What was given as the function.
      others: What was given in the places of the items, and of a chunk's size.
    """
    if not callable(fn) and not inspect.iscoroutine(fn) and any(map(callable, others)):
        _, *rest = sorted(_CALLS.values(), key=_CALLS[call].__ne__)
        raise TypeError(
            f"the function is not where {call} takes it: write {_CALLS[call]}; "
            f"the others are {' and '.join(rest)}"
        )
    check_sync_callable(fn, call)
    items = others[0]
    if isinstance(items, AsyncIterable) and not isinstance(items, Iterable):
        if call != "map":
            raise TypeError(
                f"{call} needs all items before it begins, and gets them from no async "
                f"iterable; write instead: async with pool.map(fn, items) as results:"
            )
    elif not isinstance(items, Iterable) and not hasattr(items, "__getitem__"):
        raise TypeError(
            f"{call} needs items to work on, but {items!r} is not iterable; "
            f"write {_CALLS[call]}"
        )
