"""What a configuration refuses, and the delays of a retry policy."""

import math
import random

import pytest

import runtime


@pytest.mark.parametrize(
    "wrong",
    [
        {"worker_count": 0},
        {"batch_size": 0},
        {"max_concurrent_batches": 0},
        {"max_pending_tasks": 0},
        {"max_batch_bytes": 0},
        {"batch_delay": -1},
        {"target_batch_time": 0},
        {"ageing": -0.1},
        {"timeout": 0},
        {"timeout": "5"},
        {"batch_delay": "5"},
        {"backpressure": "grow"},
        {"on_timeout": "kill"},
        {"size_of": 3},
        {"cost_of": 3},
        {"retry": 3},
    ],
)
def test_misuse_option_is_named(wrong):
    (name,) = wrong
    with pytest.raises((ValueError, TypeError), match=name):
        runtime.ParallelConfig(**wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"attempts": 0},
        {"delay": -1},
        {"backoff": 0.5},
        {"jitter": 2},
        {"jitter": "little"},
        {"max_delay": -1},
        {"retry_on": [OSError]},
        {"retry_on": "OSError"},
        {"retry_on": (OSError, (KeyError,))},
        {"retry_on": OSError()},
        {"retry_on": int},
    ],
)
def test_misuse_retry_option_is_named(wrong):
    (name,) = wrong
    with pytest.raises((ValueError, TypeError), match=name):
        runtime.RetryPolicy(**wrong)


def test_retry_delay_grows_up_to_its_limit():
    policy = runtime.RetryPolicy(delay=1, backoff=3, max_delay=5, jitter=0)
    delays = [policy.delay_before(n, random.Random(1)) for n in (2, 3, 4)]
    assert delays == [1, 3, 5]


@pytest.mark.parametrize("backoff", [2, 2.0, math.inf])
def test_retry_delay_of_a_late_attempt(backoff):
    late = {"backoff": backoff, "jitter": 0}
    assert runtime.RetryPolicy(**late).delay_before(9999, random.Random(1)) == 30
    none = runtime.RetryPolicy(delay=0, **late)
    assert none.delay_before(9999, random.Random(1)) == 0


def test_retry_jitter_shortens_by_its_share_at_most():
    policy = runtime.RetryPolicy(delay=1, jitter=0.25)
    source = random.Random(1)
    delays = [policy.delay_before(2, source) for _ in range(1000)]
    assert 0.75 <= min(delays) < 0.76
    assert 0.99 < max(delays) <= 1


def test_retry_covers_its_errors_only_and_not_for_ever():
    policy = runtime.RetryPolicy(attempts=2, retry_on=(OSError,))
    assert policy.covers(FileNotFoundError(), 1)
    assert not policy.covers(FileNotFoundError(), 2)
    assert not policy.covers(ValueError(), 1)
