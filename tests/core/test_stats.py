import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime._core import stats
from runtime._core.stats import Histogram, HistogramSnapshot, WorkerCounters

durations = st.lists(st.integers(min_value=0, max_value=1 << 62), min_size=1)


def histogram_of(values):
    histogram = Histogram()
    for value in values:
        histogram.record(value)
    return histogram.snapshot()


@given(durations, st.floats(min_value=0, max_value=1))
def test_quantile_is_at_most_a_quarter_above_the_exact_one(values, q):
    rank = max(math.ceil(q * len(values)), 1)
    exact = sorted(values)[rank - 1]
    quantile = histogram_of(values).quantile_ns(q)
    assert exact <= quantile <= exact * 5 // 4


@given(durations)
def test_quantiles_rise_with_q(values):
    snapshot = histogram_of(values)
    quantiles = [snapshot.quantile_ns(q / 10) for q in range(11)]
    assert quantiles == sorted(quantiles)


@given(st.integers(min_value=0, max_value=1 << 62))
def test_bucket_holds_its_value_and_the_one_below_does_not(value):
    bucket = stats._bucket_of(value)
    assert value <= stats.upper_edge_ns(bucket)
    assert bucket == 0 or value > stats.upper_edge_ns(bucket - 1)


@pytest.mark.parametrize("value", [-5, -1])
def test_record_clock_that_went_back_counts_as_zero(value):
    snapshot = histogram_of([value])
    assert (snapshot.count, snapshot.quantile_ns(1)) == (1, 0)


def test_record_huge_value_falls_into_the_last_bucket():
    snapshot = histogram_of([1 << 200])
    assert snapshot.count == 1
    assert snapshot.buckets[-1] == 1


def test_quantile_of_nothing_is_zero():
    assert Histogram().snapshot().quantile_ns(0.5) == 0


@pytest.mark.parametrize("q", [-0.1, 1.1, float("nan")])
def test_quantile_outside_of_its_range_is_refused(q):
    with pytest.raises(ValueError, match="q must be between 0 and 1"):
        histogram_of([1]).quantile_ns(q)


@given(st.lists(durations))
def test_merge_is_the_histogram_of_everything(parts):
    merged = HistogramSnapshot.merge(map(histogram_of, parts))
    assert merged == histogram_of([value for part in parts for value in part])


def test_snapshot_does_not_change_with_its_histogram():
    histogram = Histogram()
    histogram.record(5)
    snapshot = histogram.snapshot()
    histogram.record(5)
    assert snapshot.count == 1


def test_worker_statistics_are_a_frozen_copy_of_the_counters():
    counters = WorkerCounters()
    names = [
        "jobs_executed",
        "jobs_stolen",
        "steal_attempts",
        "parks",
        "wake_ups",
        "busy_ns",
        "idle_ns",
    ]
    for value, name in enumerate(names, 1):
        setattr(counters, name, value)
    counters.queue_latency.record(10)
    counters.run_time.record(20)
    counters.run_time.record(30)
    snapshot = counters.snapshot(3)
    assert snapshot.worker_index == 3
    assert [getattr(snapshot, name) for name in names] == list(range(1, 8))
    assert (snapshot.queue_latency.count, snapshot.run_time.count) == (1, 2)
    with pytest.raises(dataclasses.FrozenInstanceError):
        snapshot.parks = 0
