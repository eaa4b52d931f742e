"""What a situation found, as a table and as JSON."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from .quantiles import paired_ratios, quantile, spread

__all__ = ("Report", "Target", "layout", "ratio_table", "ratio_target")

type Samples = dict[str, list[float]]


@dataclass(frozen=True, slots=True)
class Target:
    """One thing that must show."""

    situation: str
    promise: str
    """What is asked for, in words."""
    measured: str
    """What was found, in the same words."""
    is_met: bool


@dataclass(frozen=True, slots=True)
class Report:
    """What one situation found."""

    name: str
    title: str
    notes: list[str]
    """What one has to know to read the table, a sentence each."""
    table: list[list[str]]
    """Rows of cells, the header first."""
    samples: dict[str, list[float]]
    """Per contender, one figure per round."""
    sample_unit: str
    targets: list[Target] = field(default_factory=list)


def ratio_table(
    samples: Samples, *, unit: str, units_per_second: float, columns: dict[str, str]
) -> list[list[str]]:
    """Build the table of a situation that measures seconds.

    Args:
      samples: Seconds per contender and round.
      unit: How the median time is shown.
      units_per_second: How many of `unit` make a second.
      columns: Title of a ratio column, and the contender it divides by. The ratio is
        how many times faster the row's contender was in the same round.
    """
    header = ["", unit]
    for title in columns:
        header += [title, "p10-p90"]
    return [header] + [
        [name, f"{quantile(seconds, 0.5) * units_per_second:.1f}"]
        + [
            cell
            for reference in columns.values()
            for cell in _ratio_cells(samples[reference], seconds)
        ]
        for name, seconds in samples.items()
    ]


def ratio_target(
    situation: str, samples: Samples, ours: str, than: str, at_least: float, words: str
) -> Target:
    """Judge how many times faster `ours` was than another, by the median round.

    Args:
      words: What is asked for, with ``{}`` where the figure stands.
    """
    ratio = spread(paired_ratios(samples[than], samples[ours]))
    return Target(
        situation,
        words.format(f"{at_least:.2f}"),
        f"{ratio.median:.2f} ({ratio.p10:.2f}-{ratio.p90:.2f})",
        ratio.median >= at_least,
    )


def layout(table: Sequence[Sequence[str]]) -> str:
    """Align a table in plain text: the first column left, the others right."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = []
    for first, *others in table:
        cells = [first.ljust(widths[0])]
        cells += [
            cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _ratio_cells(reference: list[float], seconds: list[float]) -> tuple[str, str]:
    ratio = spread(paired_ratios(reference, seconds))
    return f"{ratio.median:.2f}", f"{ratio.p10:.2f}-{ratio.p90:.2f}"
