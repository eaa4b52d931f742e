"""Tell the user which items failed: ``--on-error stop|skip|report``.

Layer: cli.
"""

from collections.abc import Sequence
from typing import Literal

from .block import Failure
from .console import plural, say

__all__ = ("FailureReport", "OnError")

type OnError = Literal["stop", "skip", "report"]


class FailureReport:
    """Counts failures, and says as much about each as the user asked for.

    Thread safety: externally synchronized; used by the Trio thread only.
    """

    def __init__(self, on_error: OnError) -> None:
        self.count = 0
        self._on_error = on_error

    def add(self, failures: Sequence[Failure]) -> None:
        """Take in failures, in the order in which they are to be told."""
        self.count += len(failures)
        if self._on_error == "skip":
            return
        for failure in failures:
            if self._on_error == "report":
                say(f"runtime map: {failure.place}: {failure.error}")
            else:
                say(f"runtime map: item {failure.number:,} ({failure.place}) failed")
                say(failure.traceback)

    def summarise(self, item_count: int) -> None:
        """Say how many failed, unless none did or the first one was the end."""
        if self.count and self._on_error != "stop":
            say(f"runtime map: {self.count:,} of {plural(item_count, 'item')} failed")
