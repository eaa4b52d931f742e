"""The progress bar, on standard error, with rich.

Layer: cli.
"""

import sys
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from .console import plural

__all__ = ("ProgressBar",)

_REFRESHES_PER_SECOND = 8  # smooth to the eye, and under 1 % of a core


class ProgressBar:
    """A bar that is gone when its block is left.

    Thread safety: internally synchronized by rich.
    """

    is_shown = True

    def __init__(self, title: str, noun: str, total: int | None) -> None:
        meter = SpinnerColumn() if total is None else BarColumn(bar_width=30)
        self._rich = Progress(
            TextColumn("{task.description}"),
            meter,
            _CountColumn(noun),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            transient=True,
            refresh_per_second=_REFRESHES_PER_SECOND,
            redirect_stdout=sys.stdout.isatty(),
        )
        self._task = self._rich.add_task(title, total=total, items=0)
        self._items = 0

    def __enter__(self) -> Self:
        self._rich.start()
        return self

    def __exit__(self, *_exc_info: object) -> None:
        self._rich.stop()

    def describe(self, title: str) -> None:
        """Say what is being done now."""
        self._rich.update(self._task, description=title)

    def advance(self, items: int, amount: int) -> None:
        """Count finished items; ``amount`` is in the unit of the total."""
        self._items += items
        self._rich.update(self._task, advance=amount, items=self._items)

    def write_above(self, text: str) -> None:
        """Write lines to the terminal, above the bar."""
        self._rich.console.out(text, end="", highlight=False)


class _CountColumn(ProgressColumn):
    """``12,345 items  4,321/s``."""

    def __init__(self, noun: str) -> None:
        super().__init__()
        self._noun = noun

    def render(self, task: Task) -> Text:
        items = task.fields["items"]
        rate = items / task.elapsed if task.elapsed else 0.0
        return Text(f"{plural(items, self._noun)}  {rate:,.0f}/s")
