"""`tracemalloc` and interpreters with a GIL each, which CPython cannot have together.

While memory is traced, what another interpreter allocates or frees corrupts the heap
(cpython#134604, open), and the process dies sooner or later. So there are no
interpreters while it is traced, and nothing is traced while there are interpreters.
Without a GIL it works.

No event announces that tracing begins, so the first pool of interpreters replaces
`tracemalloc.start`. Code that has imported the function itself before still calls it.

Layer: backends, main side.
"""

from functools import wraps

from .._util import is_gil_enabled
from . import crossinterp, farewell, kept

__all__ = ("guard",)

_is_guarded = False  # atomic: a single store


def guard() -> None:
    """Have `tracemalloc.start` refuse to start beside interpreters."""
    global _is_guarded
    if _is_guarded or not is_gil_enabled():
        return
    _is_guarded = True
    import tracemalloc

    start = tracemalloc.start

    @wraps(start)
    def guarded_start(*args: int, **options: int) -> None:
        if not farewell.is_any_open():
            kept.end_all()
        if farewell.is_any_open() or crossinterp.count():
            raise RuntimeError(
                "tracemalloc.start() beside a pool of interpreters crashes CPython "
                "with a GIL: start it when none is open, and open pools with "
                "backend='threads' while it traces"
            )
        start(*args, **options)

    tracemalloc.start = guarded_start
