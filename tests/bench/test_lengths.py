"""The heavy tail is as heavy as it says."""

import pytest

from bench.lengths import LARGEST_SHARE, heavy_tail_shares


def test_heavy_tail_shares_add_up_to_the_whole() -> None:
    assert sum(heavy_tail_shares(400)) == pytest.approx(1)


def test_heavy_tail_largest_share_is_as_promised() -> None:
    assert max(heavy_tail_shares(400)) == pytest.approx(LARGEST_SHARE)


def test_heavy_tail_longest_fifth_is_most_of_the_work() -> None:
    shares = sorted(heavy_tail_shares(400))
    assert sum(shares[-80:]) > 0.6


def test_heavy_tail_comes_the_same_every_time_and_unsorted() -> None:
    shares = heavy_tail_shares(400)
    assert shares == heavy_tail_shares(400)
    assert shares != sorted(shares)


def test_heavy_tail_cut_evenly_in_two_is_uneven() -> None:
    assert sum(heavy_tail_shares(400)[:200]) > 0.55


def test_misuse_heavy_tail_of_few_jobs_is_refused() -> None:
    with pytest.raises(ValueError, match="too few jobs"):
        heavy_tail_shares(10)
