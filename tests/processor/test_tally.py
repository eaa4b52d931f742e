"""What a worker counts: sums are exact, histograms count every request."""

from runtime._processor.tally import SAMPLED_BELOW_NS, WorkerTally

MS = 1_000_000


def test_long_requests_are_each_recorded():
    tally = WorkerTally()
    tally.note_requests([0, 0], [1 * MS, 3 * MS], [2 * MS, 13 * MS])
    assert (tally.useful_ns, tally.queue_ns, tally.latency_ns) == (
        11 * MS,
        4 * MS,
        15 * MS,
    )
    run_time = tally.run_time.snapshot()
    assert run_time.count == 2
    assert run_time.quantile_ns(0.5) < 2 * MS < 10 * MS <= run_time.quantile_ns(1)


def test_of_short_requests_each_stands_for_its_batch_in_turn():
    tally = WorkerTally()
    assert SAMPLED_BELOW_NS > 3000
    for _ in range(10):
        tally.note_requests([0, 0], [1000, 2000], [2000, 5000])
    assert (tally.useful_ns, tally.queue_ns, tally.latency_ns) == (
        40_000,
        30_000,
        70_000,
    )
    run_time = tally.run_time.snapshot()
    assert run_time.count == 20
    assert sorted(count for count in run_time.buckets if count) == [10, 10]


def test_time_of_a_call_for_several_is_shared():
    tally = WorkerTally()
    tally.note_requests([0] * 4, [0] * 4, [4 * MS] * 4, 4)
    assert tally.useful_ns == 4 * MS
    assert tally.latency_ns == 16 * MS
    run_time = tally.run_time.snapshot()
    assert run_time.count == 4
    assert MS <= run_time.quantile_ns(1) < 1.25 * MS
