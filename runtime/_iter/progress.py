"""One bar on a terminal for a running chain.

Drawn on standard error, by whichever worker comes by, at most every `DRAW_NS`; nothing
at all where that is no terminal.

Layer: iter. Imports: nothing of ours.
"""

import sys
import time
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
        self._lock = Lock()
        self._done = 0  # guarded by: self._lock
        self._drawn_ns = 0  # guarded by: self._lock

    def advance(self, count: int) -> None:
        """Note that so many positions are done."""
        with self._lock:
            self._done += count
            now_ns = time.monotonic_ns()
            if self._is_shown and now_ns - self._drawn_ns >= DRAW_NS:
                self._drawn_ns = now_ns
                self._stream.write(f"\r{self.text()}")
                self._stream.flush()

    def close(self) -> None:
        """Draw the last state and end the line."""
        with self._lock:
            if self._is_shown:
                self._stream.write(f"\r{self.text()}\n")
                self._stream.flush()

    def text(self) -> str:
        """Return the line that is drawn."""
        if self._length is None:
            return f"{self._label}: {self._done:,} items"
        share = self._done / self._length if self._length else 1.0
        bar = "#" * int(share * WIDTH)
        return f"{self._label}: [{bar:<{WIDTH}}] {share:4.0%}"
