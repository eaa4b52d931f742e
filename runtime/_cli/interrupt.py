"""Ctrl-C: the first one stops a command, the second ends the process.

A plain signal handler, not Trio's, because the second Ctrl-C must work even
when the Trio loop does not: the user's function may hold the GIL, and the pool's
block waits for running items as it should.

Layer: cli.
"""

import os
import signal
from collections.abc import Callable
from types import FrameType
from typing import Any, Self

from .exits import INTERRUPTED

__all__ = ("Interrupts",)

_SHOW_CURSOR = b"\x1b[?25h"


class Interrupts:
    """A block in which Ctrl-C calls `on_first` once and then ends the process.

    Thread safety: enter and leave it in the main thread, as signal handlers must.
    """

    def __init__(self) -> None:
        self.seen = False
        self.on_first: Callable[[], None] = _raise_keyboard_interrupt
        self._previous: Callable[[int, FrameType | None], Any] | int | None = None

    def __enter__(self) -> Self:
        self._previous = signal.getsignal(signal.SIGINT)
        if self._previous is not signal.SIG_IGN:  # as for a job started with `&`
            signal.signal(signal.SIGINT, self._handle)
        return self

    def __exit__(self, *_exc_info: object) -> None:
        signal.signal(signal.SIGINT, self._previous)

    def note_only(self) -> None:
        """Let the first Ctrl-C do no more than set `seen`.

        For the moments in which nothing can be stopped: a Trio loop that starts or
        ends would break if an exception were raised inside it.
        """
        self.on_first = _do_nothing

    def _handle(self, _signal_number: int, _frame: FrameType | None) -> None:
        if self.seen:
            _end_at_once()
        self.seen = True
        self.on_first()


def _raise_keyboard_interrupt() -> None:
    raise KeyboardInterrupt


def _do_nothing() -> None:
    pass


def _end_at_once() -> None:
    if os.isatty(2):
        os.write(2, _SHOW_CURSOR + b"\n")  # a progress bar hides the cursor
    os._exit(INTERRUPTED)
