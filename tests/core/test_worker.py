"""What one worker does next; without a thread, so that nothing else moves."""

import contextvars

import pytest

from runtime._core import sync
from runtime._core.job import Job
from runtime._core.registry import Registry
from runtime._core.worker import INJECTOR_INTERVAL, current_worker


def job_of(fn, *args, sink=None):
    return Job(fn, args, contextvars.copy_context(), sink=sink)


@pytest.fixture
def registry():
    """Two workers that have not been started."""
    return Registry(2)


@pytest.fixture
def worker(registry):
    return registry._workers[0]


@pytest.fixture
def victim(registry):
    return registry._workers[1]


@pytest.fixture
def done():
    """What ran, in its order."""
    return []


def run_all(worker):
    while worker.run_one():
        pass


def test_search_own_deque_then_others_then_injector(registry, worker, victim, done):
    worker._search_count = 0
    for name in ("outside 1", "outside 2"):
        registry.inject(job_of(done.append, name))
    for name in ("theirs 1", "theirs 2"):
        victim.push(job_of(done.append, name))
    for name in ("own 1", "own 2"):
        worker.push(job_of(done.append, name))
    run_all(worker)
    own, theirs = ["own 2", "own 1"], ["theirs 1", "theirs 2"]
    assert done == [*own, *theirs, "outside 1", "outside 2"]


def test_search_begins_with_the_injector_every_so_often(registry, worker, done):
    worker._search_count = 0
    registry.inject(job_of(done.append, "outside"))
    for _ in range(2 * INJECTOR_INTERVAL):
        worker.push(job_of(done.append, "own"))
    run_all(worker)
    assert done.index("outside") == INJECTOR_INTERVAL - 1


def test_look_outside_next_begins_the_next_search_with_the_injector(
    registry, worker, done
):
    worker.push(job_of(done.append, "own"))
    registry.inject(job_of(done.append, "outside"))
    worker.look_outside_next()
    run_all(worker)
    assert done == ["outside", "own"]


def test_steal_tries_every_other_worker(done):
    registry = Registry(5)
    thief = registry._workers[2]
    for victim in registry._workers:
        if victim is not thief:
            victim.push(job_of(done.append, victim.index))
    run_all(thief)
    assert sorted(done) == [0, 1, 3, 4]
    assert thief.counters.jobs_stolen == 4
    assert thief.counters.steal_attempts >= 4


def test_steal_does_not_begin_with_the_same_victim_each_time(done):
    registry = Registry(5)
    thief = registry._workers[2]
    for _ in range(20):
        for victim in registry._workers:
            if victim is not thief:
                victim.push(job_of(done.append, victim.index))
        thief.run_one()
    assert len(set(done)) > 1


def test_steal_of_a_lone_worker_finds_nothing():
    worker = Registry(1)._workers[0]
    assert not worker.run_one()
    assert worker.counters.steal_attempts == 0


def test_run_one_with_nothing_to_do_says_so(worker):
    assert not worker.run_one()


def test_run_one_is_the_current_worker_while_the_job_runs(registry, worker):
    seen = []

    def body():
        seen.append((current_worker(), worker.job))

    job = job_of(body)
    registry.inject(job)
    assert current_worker() is None
    assert worker.run_one()
    assert seen == [(worker, job)]
    assert current_worker() is None
    assert worker.job is None


def test_execute_inside_a_job_gives_the_outer_job_back(worker):
    seen = []

    def outer():
        worker.execute(inner_job)
        seen.append(worker.job)

    inner_job = job_of(lambda: seen.append(worker.job))
    outer_job = job_of(outer)
    worker.execute(outer_job)
    assert seen == [inner_job, outer_job]
    assert worker.counters.jobs_executed == 2


def test_execute_inside_a_job_counts_busy_time_once(worker, monkeypatch):
    now = iter([0, 10, 60, 100])
    monkeypatch.setattr(sync, "clock_ns", lambda: next(now))
    worker.execute(job_of(lambda: worker.execute(job_of(int))))
    assert worker.counters.busy_ns == 100
    assert worker.counters.run_time.snapshot().count == 2


def test_execute_withdrawn_entry_leaves_and_counts_nothing(worker):
    left = []
    job = job_of(int, sink=left.append)
    job.withdraw()
    worker.execute(job)
    assert left == [job]
    counters = worker.counters
    assert counters.jobs_executed == counters.busy_ns == 0
    assert counters.queue_latency.snapshot().count == 0


def test_execute_stores_the_outcome_before_it_tells_the_sink(worker):
    seen = []
    worker.execute(job_of(int, sink=lambda job: seen.append(job.outcome.value)))
    assert seen == [0]


def test_execute_counts_latency_from_the_push(worker, monkeypatch):
    now = iter([100, 1_100, 51_100])
    monkeypatch.setattr(sync, "clock_ns", lambda: next(now))
    worker.push(job_of(int))
    worker.run_one()
    counters = worker.counters
    assert 1_000 <= counters.queue_latency.snapshot().quantile_ns(1) <= 1_250
    assert 50_000 <= counters.run_time.snapshot().quantile_ns(1) <= 62_500
    assert counters.busy_ns == 50_000
