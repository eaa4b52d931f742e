"""The arithmetic of ``bench/quantiles.py``, against known answers."""

import pytest

from bench.quantiles import (
    Spread,
    paired_differences,
    paired_ratios,
    quantile,
    spread,
)


@pytest.mark.parametrize(
    ("fraction", "expected"),
    [(0, 1), (0.25, 2), (0.5, 3), (0.875, 4.5), (0.99, 4.96), (1, 5)],
)
def test_quantile_of_one_to_five_is_linear(fraction: float, expected: float) -> None:
    assert quantile([5, 3, 1, 2, 4], fraction) == pytest.approx(expected)


def test_quantile_of_one_sample_is_that_sample() -> None:
    assert quantile([7.0], 0.99) == 7.0


def test_misuse_quantile_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one sample"):
        quantile([], 0.5)


@pytest.mark.parametrize("fraction", [-0.1, 1.1, 99])
def test_misuse_quantile_fraction_out_of_range_is_refused(fraction: float) -> None:
    with pytest.raises(ValueError, match="within 0 and 1"):
        quantile([1.0], fraction)


def test_spread_of_eleven_samples_is_second_middle_and_last_but_one() -> None:
    assert spread(list(range(11))) == Spread(p10=1, median=5, p90=9)


def test_paired_ratios_of_a_disturbed_round_are_undisturbed() -> None:
    serial = [2.0, 20.0, 2.0]
    ours = [1.0, 10.0, 1.0]
    assert paired_ratios(serial, ours) == [2.0, 2.0, 2.0]


def test_paired_differences_keep_their_sign() -> None:
    assert paired_differences([3.0, 1.0], [1.0, 3.0]) == [2.0, -2.0]


def test_misuse_pairing_unequal_rounds_is_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        paired_ratios([1.0, 2.0], [1.0])
