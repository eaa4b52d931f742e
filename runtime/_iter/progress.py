"""One bar on a terminal for a running chain.

Drawn on standard error, by whichever worker comes by, at most every `DRAW_NS`; nothing
at all where that is no terminal.

Layer: iter.
"""

import sys
import time
from collections import deque
from threading import Lock
from typing import TextIO

__all__ = ("Bar",)

DRAW_NS = 100_000_000  # arbitrary: what an eye can follow
WIDTH = 30


class Bar:
    """Shows how many positions of a chain are done.

    Args:
      label: Stands before the bar.
      length: How many positions there are; None if nobody knows.
      stream: Where to draw.

    Thread safety: internally synchronized.
    """

    def __init__(
        self, label: str, length: int | None, stream: TextIO | None = None
    ) -> None:
        self._label = label
        self._length = length
        self._stream = sys.stderr if stream is None else stream
        self._is_shown = self._stream.isatty()
        # Whoever draws has it. Nobody waits for it: to draw is the stream's code.
        self._pen = Lock()
        self._advances: deque[int] = deque()  # not yet in `_done`
        self._done = 0  # written by who has the pen
        self._drawn_ns = 0  # written by who has the pen

    def advance(self, count: int) -> None:
        """Note that so many positions are done."""
        if not self._is_shown:
            return
        self._advances.append(count)
        if not self._pen.acquire(False):
            return
        try:
            now_ns = time.monotonic_ns()
            if now_ns - self._drawn_ns >= DRAW_NS:
                self._drawn_ns = now_ns
                self._stream.write(f"\r{self.text()}")
                self._stream.flush()
        finally:
            self._pen.release()

    def close(self) -> None:
        """Draw the last state and end the line."""
        if self._is_shown:
            self._stream.write(f"\r{self.text()}\n")
            self._stream.flush()

    def text(self) -> str:
        """Return the line that is drawn; for who has the pen, or is alone."""
        while self._advances:
            self._done += self._advances.popleft()
        if self._length is None:
            return f"{self._label}: {self._done:,} items"
        share = self._done / self._length if self._length else 1.0
        bar = "#" * int(share * WIDTH)
        return f"{self._label}: [{bar:<{WIDTH}}] {share:4.0%}"
