"""Jobs of very unequal length.

The lengths follow a Pareto distribution, truncated so that the longest is a given share
of the sum, and come in a random order. The seed is fixed: every run has the same jobs.
"""

from random import Random

__all__ = ("LARGEST_SHARE", "heavy_tail_shares")

LARGEST_SHARE = 0.05
SHAPE = 1.2  # arbitrary: the longest fifth of the jobs is about two thirds of the work
SEED = 8  # the first whose even cut in two is far from even, 59 % to 41 %


def heavy_tail_shares(job_count: int) -> list[float]:
    """Return each job's share of the whole, in the order the jobs are given."""
    random = Random(SEED)
    lengths = sorted(random.paretovariate(SHAPE) for _ in range(job_count))
    shares = _truncated(lengths)
    random.shuffle(shares)
    return shares


def _truncated(lengths: list[float]) -> list[float]:
    """Cut the longest down, all to one length, until that is LARGEST_SHARE."""
    for cut_count in range(1, len(lengths)):
        kept = lengths[:-cut_count]
        longest = LARGEST_SHARE * sum(kept) / (1 - LARGEST_SHARE * cut_count)
        if longest >= kept[-1]:
            total = sum(kept) + longest * cut_count
            return [length / total for length in kept] + ([longest / total] * cut_count)
    raise ValueError("too few jobs for so small a share")
