"""Ctrl-C in the main thread outside of Trio, at a line that must not be broken off.

There Python raises `KeyboardInterrupt` between any two lines of ours: a count may be
left without its call, or a pool without an end. On a worker's thread it never does.

What the module `signal` adds to the functions of `_signal` takes microseconds.

Layer: iter.
"""

import sys
import threading
from _signal import (  # type: ignore[import-not-found]  # no stub
    SIGINT,
    getsignal,
    signal,
)
from collections.abc import Callable

from .. import _backends

__all__ = ("whole",)


def whole[*Ts, R](fn: Callable[[*Ts], R], *args: *Ts) -> R:
    """Call ``fn(*args)`` and hold Ctrl-C back meanwhile; for what takes no time.

    Raises:
      KeyboardInterrupt: it came before, and nothing was called; or it came meanwhile,
        and the call was made to its end.
    """
    is_main = threading.get_ident() == threading.main_thread().ident
    handler = getsignal(SIGINT)
    if _backends.is_inside or not is_main or not callable(handler):
        return fn(*args)
    came: list[int] = []
    signal(SIGINT, lambda number, _frame: came.append(number))
    try:
        return fn(*args)
    finally:
        signal(SIGINT, handler)
        if came:
            handler(came[0], sys._getframe())  # noqa: SLF001  # as if it came now
