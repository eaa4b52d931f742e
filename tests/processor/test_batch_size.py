"""The length of batches: fixed, or led by time."""

import runtime
from runtime._processor.batch_size import BatchSize


def test_size_without_a_target_stays():
    size = BatchSize(runtime.ParallelConfig(batch_size=7), limit=100)
    size.learn(7, 10)
    assert size.current == 7


def test_size_grows_by_doubling_up_to_the_limit():
    config = runtime.ParallelConfig(batch_size=10, target_batch_time=0.001)
    size = BatchSize(config, limit=50)
    found = []
    for _ in range(4):
        size.learn(size.current, 10)
        found.append(size.current)
    assert found == [20, 40, 50, 50]


def test_size_falls_to_what_fits_and_not_below_one():
    config = runtime.ParallelConfig(batch_size=10, target_batch_time=0.001)
    size = BatchSize(config, limit=50)
    size.learn(10, 5_000_000)
    assert size.current == 2
    size.learn(2, 1_000_000_000)
    assert size.current == 1
