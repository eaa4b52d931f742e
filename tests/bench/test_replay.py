"""The scheduler in virtual time."""

import pytest

from bench.replay import Prices, greedy_bounds, replay
from bench.scaling import svg_of

FREE = Prices(split=0.0, leaf=0.0, steal=0.0, wake=0.0)
REAL = Prices(split=300.0, leaf=2000.0, steal=3000.0, wake=50_000.0)

EVEN = [50_000.0] * 2000
TRIANGLE = [100.0 * i for i in range(1, 1500)]
ONE_LARGE = [1000.0] * 5000 + [5e6] + [1000.0] * 5000
COSTS = {"even": EVEN, "triangle": TRIANGLE, "one large": ONE_LARGE, "single": [1e6]}


@pytest.mark.parametrize("name", COSTS)
def test_one_worker_takes_the_work_and_its_leaves(name):
    costs = COSTS[name]
    found = replay(costs, 1, REAL)
    assert found.total_ns == pytest.approx(sum(costs) + found.leaves * REAL.leaf)
    assert found.splits == found.steals == 0


@pytest.mark.parametrize("name", COSTS)
@pytest.mark.parametrize("workers", [2, 3, 8, 64])
def test_replay_stays_within_the_bounds(name, workers):
    costs = COSTS[name]
    found = replay(costs, workers, FREE)
    shortest, _ = greedy_bounds(costs, workers, FREE)
    assert found.total_ns >= shortest * 0.999
    # Splits stop short of the last bit of work; so much may be left uneven.
    _, greedy = greedy_bounds(costs, workers, FREE)
    assert found.total_ns <= 1.3 * greedy + 1e6


def test_two_workers_halve_even_work():
    found = replay(EVEN, 2, REAL)
    assert sum(EVEN) / found.total_ns > 1.95
    assert found.steals >= 1


def test_many_workers_scale_with_enough_work():
    found = replay(EVEN * 10, 64, REAL)
    assert sum(EVEN) * 10 / found.total_ns > 45


def test_little_work_stays_serial():
    found = replay([100.0] * 500, 8, REAL)
    assert found.splits == 0


def test_replay_is_the_same_every_time():
    assert replay(TRIANGLE, 7, REAL, seed=3) == replay(TRIANGLE, 7, REAL, seed=3)


def test_curve_is_drawn():
    svg = svg_of("name", [(1, 1.0, 1.0, 1.0), (2, 1.9, 2.0, 1.8)])
    assert svg.startswith("<svg")
    assert svg.count("<polyline") == 3
