"""Show how far a command is, where a person can see it.

The bar needs a terminal and rich; without either a command is silent until it
ends. The bar itself is in `progress_bar`, imported only when it is shown.

Layer: cli.
"""

import importlib.util
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

__all__ = ("Progress", "open_progress")


class Progress(Protocol):
    """What a command tells while it works."""

    is_shown: bool
    """Whether there is a bar, above which output has to be written."""

    def describe(self, title: str) -> None:
        """Say what is being done now."""

    def advance(self, items: int, amount: int) -> None:
        """Count finished items; ``amount`` is in the unit of the total."""

    def write_above(self, text: str) -> None:
        """Write lines to the terminal, above the bar."""


class _Silent:
    is_shown = False

    def describe(self, title: str) -> None:
        pass

    def advance(self, items: int, amount: int) -> None:
        pass

    def write_above(self, text: str) -> None:
        raise NotImplementedError("there is no bar")


def open_progress(
    title: str, noun: str, total: int | None, *, is_wanted: bool = True
) -> AbstractContextManager[Progress]:
    """Show a progress bar for the block, where that is possible.

    Args:
      title: What is being done, a word or two.
      noun: What is counted, in the singular.
      total: How much there is to do, in any unit; None if unknown.
      is_wanted: Whether a bar would do no harm.
    """
    can_show = sys.stderr.isatty() and importlib.util.find_spec("rich") is not None
    if not (is_wanted and can_show):
        return nullcontext(_Silent())
    from .progress_bar import ProgressBar

    return ProgressBar(title, noun, total)
