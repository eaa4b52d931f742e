"""Lay out a small table and format the figures in it, as plain text.

Layer: cli.
"""

from collections.abc import Sequence

__all__ = ("align", "seconds", "short_time")


def align(rows: Sequence[Sequence[str]]) -> str:
    """Return the rows with columns aligned: the first to the left, others right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(_aligned(row, widths) for row in rows)


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    first = row[0].ljust(widths[0])
    rest = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
    return "  ".join(["", first, *rest]).rstrip()


def seconds(duration: float) -> str:
    """Return ``4.05 s``."""
    return f"{duration:.2f} s"


def short_time(duration_ns: float) -> str:
    """Return nanoseconds in the unit that fits: ``35 us``, ``1.2 ms``."""
    if duration_ns < 1_000_000:
        return f"{duration_ns / 1_000:.0f} us"
    return f"{duration_ns / 1_000_000:.1f} ms"
