import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime._core.prng import Prng


@given(st.integers(), st.integers(min_value=1, max_value=1_000))
def test_below_is_in_range(seed, n):
    prng = Prng(seed)
    assert all(prng.below(n) in range(n) for _ in range(20))


def test_same_seed_gives_the_same_stream():
    first, second = Prng(7), Prng(7)
    assert [first.below(100) for _ in range(50)] == [
        second.below(100) for _ in range(50)
    ]


def test_other_seed_gives_another_stream():
    first, second = Prng(7), Prng(8)
    assert [first.below(1 << 32) for _ in range(5)] != [
        second.below(1 << 32) for _ in range(5)
    ]


@pytest.mark.parametrize("seed", [0, 1 << 32, -(1 << 32)])
def test_seed_that_is_zero_in_32_bits_does_not_stand_still(seed):
    prng = Prng(seed)
    assert len({prng.below(1 << 32) for _ in range(20)}) == 20


@pytest.mark.parametrize("n", [2, 3, 7])
def test_every_victim_is_chosen(n):
    prng = Prng(1)
    picks = [prng.below(n) for _ in range(1_000 * n)]
    assert set(picks) == set(range(n))
    # Not a test of quality: only that no victim is as good as never chosen.
    assert min(picks.count(victim) for victim in range(n)) > 500
