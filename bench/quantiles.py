"""Quantiles, and ratios paired round by round.

A ratio is always taken between two samples of the same round, never between two
medians: what disturbs the machine during a round disturbs both.
"""

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ("Spread", "paired_differences", "paired_ratios", "quantile", "spread")


@dataclass(frozen=True, slots=True)
class Spread:
    """The middle of some samples, and how far they reach."""

    p10: float
    median: float
    p90: float


def quantile(samples: Sequence[float], fraction: float) -> float:
    """Return the quantile, linear between neighbours (0 is least, 1 greatest)."""
    if not samples:
        raise ValueError("a quantile needs at least one sample")
    if not 0 <= fraction <= 1:
        raise ValueError(f"fraction must be within 0 and 1, got {fraction}")
    ordered = sorted(samples)
    position = fraction * (len(ordered) - 1)
    below = int(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)


def spread(samples: Sequence[float]) -> Spread:
    """Return the median with the 10 % and 90 % quantiles."""
    return Spread(
        quantile(samples, 0.1), quantile(samples, 0.5), quantile(samples, 0.9)
    )


def paired_ratios(over: Sequence[float], under: Sequence[float]) -> list[float]:
    """Divide sample by sample; position is the round."""
    return [a / b for a, b in zip(over, under, strict=True)]


def paired_differences(of: Sequence[float], less: Sequence[float]) -> list[float]:
    """Subtract sample from sample; position is the round."""
    return [a - b for a, b in zip(of, less, strict=True)]
