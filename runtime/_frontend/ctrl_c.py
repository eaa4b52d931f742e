"""Each further Ctrl-C is noticed while something is waited for in spite of one.

Trio raises one `KeyboardInterrupt` in the main task. While that task cannot leave its
wait a further Ctrl-C changes nothing, and nobody is told of it. So for as long as
somebody listens, a handler stands before Trio's own, and passes everything on.

Layer: frontend.
"""

import signal
import threading
from collections.abc import Callable
from types import FrameType

import trio

__all__ = ("listen", "unlisten")

type _Heard = Callable[[], None]

# To be called in the Trio thread for each Ctrl-C. All of one Trio run: only the main
# thread's is told of signals.
_listeners: dict[_Heard, trio.lowlevel.TrioToken] = {}  # owner: the main thread
_before: list[Callable[[int, FrameType | None], object]] = []  # owner: the main thread


def listen(heard: _Heard) -> None:
    """Have ``heard()`` called in the Trio thread at each Ctrl-C, until `unlisten`.

    Nothing is heard in a thread other than the main one, or where Ctrl-C is ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    _listeners[heard] = trio.lowlevel.current_trio_token()
    handler = signal.getsignal(signal.SIGINT)
    if handler is not _handle and callable(handler):
        _before[:] = [handler]
        signal.signal(signal.SIGINT, _handle)


def unlisten(heard: _Heard) -> None:
    """Hear nothing more."""
    _listeners.pop(heard, None)
    if not _listeners and _before and signal.getsignal(signal.SIGINT) is _handle:
        signal.signal(signal.SIGINT, _before.pop())


def _handle(number: int, frame: FrameType | None) -> None:
    for heard, trio_token in list(_listeners.items()):
        trio_token.run_sync_soon(heard, idempotent=True)
    # Somebody may have put it back after the run whose handler it stands before.
    is_over = not _before or not trio.lowlevel.in_trio_run()
    before = signal.default_int_handler if is_over else _before[0]
    before(number, frame)
