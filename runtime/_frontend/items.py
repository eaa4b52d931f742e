"""The misuse errors of the calls for many items.

Layer: frontend.
"""

import inspect

from .._util import check_sync_callable
from .options import check_choice, check_items

__all__ = ("MAP", "check_many")

MAP = "async with pool.map(fn, items) as results: ..."
# How each is called; they differ, so they are mixed up.
_CALLS = {
    "map": MAP,
    "spawn_parallel_batch": "await pool.spawn_parallel_batch(items, fn)",
    "spawn_chunked_parallel": "await pool.spawn_chunked_parallel(items, size, fn)",
}


def check_many(
    call: str, fn: object, *others: object, options: tuple[object, object]
) -> None:
    """Raise TypeError unless there is a function and items for it; check the options.

    Args:
      call: The public function the user called.
      fn: What was given as the function.
      others: What was given in the places of the items, and of a chunk's size.
      options: ``on_error`` and ``on_cancel``.
    """
    if not callable(fn) and not inspect.iscoroutine(fn) and any(map(callable, others)):
        _, *rest = sorted(_CALLS.values(), key=_CALLS[call].__ne__)
        raise TypeError(
            f"the function is not where {call} takes it; write instead: "
            f"{_CALLS[call]} (the others are {' and '.join(rest)})"
        )
    check_sync_callable(fn, call)
    check_items(others[0], _CALLS[call], None if call == "map" else MAP)
    on_error, on_cancel = options
    check_choice(on_error, ("raise", "return"), "on_error")
    check_choice(on_cancel, ("wait", "interrupt"), "on_cancel")
