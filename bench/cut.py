"""Cut jobs into one piece per thread, before any of them runs."""

from collections.abc import Sequence
from itertools import pairwise

__all__ = ("best_cut", "even_cut", "even_ranges")


def even_ranges(length: int, piece_count: int) -> list[range]:
    """Cut positions into contiguous ranges whose lengths differ by at most one."""
    edges = [length * index // piece_count for index in range(piece_count + 1)]
    return [range(start, stop) for start, stop in pairwise(edges)]


def even_cut[T](items: Sequence[T], piece_count: int) -> list[Sequence[T]]:
    """Cut into contiguous pieces whose lengths differ by at most one."""
    ranges = even_ranges(len(items), piece_count)
    return [items[piece.start : piece.stop] for piece in ranges]


def best_cut(costs: Sequence[float], piece_count: int) -> list[list[int]]:
    """Cut by cost, with the costs known beforehand.

    Each job, the longest first, goes to the piece that is shortest so far.

    Returns:
      One list of positions in `costs` per piece.

    Source: Graham 1969, the LPT rule: at worst 4/3 of the shortest possible, and
      with hundreds of jobs within a fraction of the smallest job of it.
    """
    pieces: list[list[int]] = [[] for _ in range(piece_count)]
    totals = [0.0] * piece_count
    for position in sorted(range(len(costs)), key=lambda at: (-costs[at], at)):
        shortest = totals.index(min(totals))
        pieces[shortest].append(position)
        totals[shortest] += costs[position]
    return pieces
