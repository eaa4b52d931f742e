"""The two ways to cut jobs by hand, ``bench/cut.py``."""

from itertools import product

import pytest

from bench.cut import best_cut, even_cut


@pytest.mark.parametrize(
    ("length", "piece_count", "expected"),
    [(10, 2, [5, 5]), (11, 3, [3, 4, 4]), (2, 3, [0, 1, 1]), (0, 2, [0, 0])],
)
def test_even_cut_lengths_differ_by_at_most_one(
    length: int, piece_count: int, expected: list[int]
) -> None:
    assert [len(piece) for piece in even_cut(range(length), piece_count)] == expected


def test_even_cut_keeps_all_items_in_order() -> None:
    pieces = even_cut(range(100), 7)
    assert [item for piece in pieces for item in piece] == list(range(100))


def test_best_cut_gives_the_longest_job_a_piece_of_its_own() -> None:
    assert best_cut([1, 1, 6, 2, 2], 2) == [[2], [3, 4, 0, 1]]


def test_best_cut_holds_every_job_once() -> None:
    pieces = best_cut([5, 3, 8, 1, 1, 9, 2], 3)
    assert sorted(at for piece in pieces for at in piece) == list(range(7))


def test_best_cut_is_within_a_third_of_the_shortest_possible() -> None:
    costs = [7, 7, 6, 6, 5, 5, 4, 4, 4]
    longest = max(sum(costs[at] for at in piece) for piece in best_cut(costs, 2))
    shortest_possible = min(
        max(
            sum(cost for cost, side in zip(costs, sides, strict=True) if side),
            sum(cost for cost, side in zip(costs, sides, strict=True) if not side),
        )
        for sides in product([False, True], repeat=len(costs))
    )
    assert shortest_possible <= longest <= shortest_possible * 4 / 3
