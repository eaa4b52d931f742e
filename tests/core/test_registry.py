import contextvars
import gc
import os
import threading
import weakref

import pytest
from helpers import TIMEOUT, run_threaded, white_box

from runtime._core import DONE, WITHDRAWN, Registry, Worker, current_worker, sync
from runtime._core import worker as worker_module
from runtime._core.worker import INJECTOR_INTERVAL

variable = contextvars.ContextVar("variable", default="unset")


class Thing:
    """Something a weak reference can point to."""


def fail(error):
    raise error


def push_inside(calls, fn, *args):
    """Push a job on the deque of the worker that runs this."""
    call = calls.make(fn, *args)
    current_worker().push(call.job)
    return call


@pytest.fixture
def lone(open_registry):
    """A registry with one worker."""
    return open_registry(1)


# Running


@pytest.mark.parametrize("worker_count", [1, 2, 4])
def test_inject_runs_each_job_once(open_registry, calls, worker_count):
    registry = open_registry(worker_count)
    runs = []
    injected = [calls.inject(registry, runs.append, n) for n in range(200)]
    for call in injected:
        call.wait()
    assert sorted(runs) == list(range(200))
    assert [call.leave_count for call in injected] == [1] * 200


def test_inject_value_arrives(lone, calls):
    assert calls.inject(lone, divmod, 7, 2).wait() == (3, 1)


def test_inject_error_arrives_unchanged(lone, calls):
    error = ValueError("why")
    with pytest.raises(ValueError, match="why") as caught:
        calls.inject(lone, fail, error).wait()
    assert caught.value is error


def test_inject_several_errors_each_arrive_at_their_own_job(open_registry, calls):
    registry = open_registry(2)
    errors = [ValueError(n) for n in range(20)]
    injected = [calls.inject(registry, fail, error) for error in errors]
    for call, error in zip(injected, errors, strict=True):
        with pytest.raises(ValueError, match=str(error)) as caught:
            call.wait()
        assert caught.value is error


@pytest.mark.parametrize(
    "kind", [SystemExit, KeyboardInterrupt, MemoryError, GeneratorExit]
)
def test_job_that_raises_this_does_not_take_its_worker_down(lone, calls, kind):
    with pytest.raises(kind):
        calls.inject(lone, fail, kind("why")).wait()
    assert calls.inject(lone, len, "ab").wait() == 2
    assert lone.statistics()[0].jobs_executed == 2


def test_job_that_recurses_for_ever_does_not_take_its_worker_down(lone, calls):
    def recurse():
        return recurse() + 1

    with pytest.raises(RecursionError):
        calls.inject(lone, recurse).wait()
    assert calls.inject(lone, len, "ab").wait() == 2


def test_inject_many_runs_them_in_order_and_wakes_every_worker(open_registry, calls):
    """Jobs that all wait for each other: under one wake-up, each wakes the next."""
    registry = open_registry(3)
    barrier = threading.Barrier(3)
    made = [calls.make(barrier.wait, TIMEOUT) for _ in range(3)]
    registry.inject_many([call.job for call in made])
    assert sorted(call.wait() for call in made) == [0, 1, 2]


def test_inject_many_of_nothing_does_nothing(lone, calls):
    lone.inject_many([])
    assert calls.inject(lone, len, "ab").wait() == 2


def test_lone_worker_runs_outside_jobs_in_order(lone, calls, gate):
    runs = []
    with gate:
        calls.inject(lone, gate.hold)
        gate.block_until_entered()
        made = [calls.make(runs.append, n) for n in range(50)]
        lone.inject_many([call.job for call in made])
    made[-1].wait()
    assert runs == list(range(50))


def test_lanes_urgent_work_overtakes(lone, calls, gate):
    runs = []
    with gate:
        calls.inject(lone, gate.hold)
        gate.block_until_entered()
        injected = [calls.inject(lone, runs.append, n, lane=n) for n in (2, 1, 0)]
    for call in injected:
        call.wait()
    assert runs == [0, 1, 2]


# Work from inside


def test_push_from_inside_a_job_is_run(open_registry, calls):
    registry = open_registry(2)
    runs = []

    def spread(depth):
        runs.append(depth)
        return [push_inside(calls, spread, depth - 1) for _ in range(2) if depth]

    pending = [calls.inject(registry, spread, 6)]
    while pending:
        pending += pending.pop().wait()
    assert len(runs) == 2**7 - 1


def test_push_from_inside_a_job_on_a_lone_worker_is_run_after_it(lone, calls):
    runs = []

    def outer():
        inner = push_inside(calls, runs.append, "inner")
        runs.append("outer")
        return inner

    calls.inject(lone, outer).wait().wait()
    assert runs == ["outer", "inner"]


def test_push_from_inside_a_busy_worker_is_stolen(open_registry, calls):
    registry = open_registry(2)

    def outer():
        inner = push_inside(calls, threading.get_ident)
        return threading.get_ident(), inner.wait()

    here, there = calls.inject(registry, outer).wait()
    assert here != there
    assert sum(worker.jobs_stolen for worker in registry.statistics()) == 1


def test_context_of_a_stolen_job_is_that_of_the_push(open_registry, calls):
    registry = open_registry(2)

    def outer():
        variable.set("pushed")
        inner = push_inside(calls, variable.get)
        variable.set("changed later")
        return inner.wait()

    assert calls.inject(registry, outer).wait() == "pushed"


def test_context_of_one_job_does_not_reach_the_next(lone, calls):
    calls.inject(lone, variable.set, "changed").wait()
    assert calls.inject(lone, variable.get).wait() == "unset"


def test_outside_job_is_not_starved_by_work_that_begets_work(lone, calls):
    """One worker whose jobs push the next one for ever, and one job from outside."""
    begotten = []
    outside_has_run = threading.Event()

    def beget():
        begotten.append(None)
        if not outside_has_run.is_set():
            push_inside(calls, beget)

    def start():
        call = calls.inject(lone, outside_has_run.set)
        beget()
        return call

    calls.inject(lone, start).wait().wait()
    assert len(begotten) <= INJECTOR_INTERVAL + 1


def test_two_registries_feed_each_other(open_registry, calls):
    here, there = open_registry(1), open_registry(1)
    arrived = threading.Event()

    def bounce(n, to, back):
        if n == 0:
            arrived.set()
        else:
            calls.inject(to, bounce, n - 1, back, to)

    calls.inject(here, bounce, 200, there, here)
    assert arrived.wait(TIMEOUT)


def test_two_registries_whose_jobs_wait_for_each_other(open_registry, calls):
    here, there = open_registry(1), open_registry(2)

    def ask(registry, depth):
        if depth == 0:
            return 0
        return calls.inject(registry, ask, there, depth - 1).wait() + 1

    assert calls.inject(here, ask, there, 2).wait() == 2


# Withdrawing


def test_withdraw_before_the_job_begins_wins(lone, calls, gate):
    runs = []
    with gate:
        calls.inject(lone, gate.hold)
        gate.block_until_entered()
        call = calls.inject(lone, runs.append, 1)
        assert lone.withdraw(call.job)
    assert call.left.wait(TIMEOUT)
    assert calls.inject(lone, len, "ab").wait() == 2
    assert (runs, call.job.phase, call.leave_count) == ([], WITHDRAWN, 1)


def test_withdraw_while_the_job_runs_loses(lone, calls, gate):
    with gate:
        call = calls.inject(lone, gate.hold, 5)
        gate.block_until_entered()
        assert not lone.withdraw(call.job)
    assert call.wait() == 5


def test_withdraw_after_the_job_loses(lone, calls):
    call = calls.inject(lone, len, "ab")
    assert call.wait() == 2
    assert not lone.withdraw(call.job)
    assert (call.job.phase, call.leave_count) == (DONE, 1)


def test_withdraw_job_in_a_worker_s_deque_is_skipped(lone, calls):
    runs = []

    def outer():
        inner = push_inside(calls, runs.append, 1)
        assert lone.withdraw(inner.job)
        return inner

    inner = calls.inject(lone, outer).wait()
    assert inner.left.wait(TIMEOUT)
    assert (runs, inner.leave_count) == ([], 1)


def test_withdraw_in_a_loop_behind_a_stuck_worker_does_not_grow(lone, calls, gate):
    withdrawn = []
    with gate:
        calls.inject(lone, gate.hold)
        gate.block_until_entered()
        kept = [calls.inject(lone, len, "ab") for _ in range(10)]
        most = 0
        for _ in range(3_000):
            call = calls.inject(lone, len, "ab")
            assert lone.withdraw(call.job)
            withdrawn.append(call)
            most = max(most, len(lone.injector))
        assert most <= 2 * len(kept) + 1
    assert [call.wait() for call in kept] == [2] * 10
    for call in withdrawn:
        assert call.left.wait(TIMEOUT)
    assert {call.leave_count for call in withdrawn} == {1}


# Stopping


def test_stop_idle(open_registry, wait_for):
    registry = open_registry(2)
    wait_for(registry.is_everyone_asleep)
    registry.stop()
    registry.join()
    assert not any(thread.is_alive() for thread in registry._threads)


def test_stop_busy_runs_what_was_accepted(open_registry, calls, gate):
    registry = open_registry(2)
    with gate:
        stuck = calls.inject(registry, gate.hold)
        gate.block_until_entered()
        queued = [calls.inject(registry, len, "ab") for _ in range(100)]
        registry.stop()
    registry.join()
    assert stuck.wait() is None
    assert [call.wait() for call in queued] == [2] * 100


def test_stop_runs_what_a_last_job_pushes(lone, calls, gate):
    with gate:

        def outer():
            gate.hold()
            return [push_inside(calls, len, "ab") for _ in range(10)]

        call = calls.inject(lone, outer)
        gate.block_until_entered()
        lone.stop()
    lone.join()
    assert [inner.wait() for inner in call.wait()] == [2] * 10


def test_stop_twice_and_after_the_end(open_registry):
    registry = open_registry(2)
    registry.stop()
    registry.stop()
    registry.join()
    registry.stop()
    registry.join()


def test_stop_from_inside_a_job(open_registry, calls):
    registry = open_registry(2)
    calls.inject(registry, registry.stop).wait()
    registry.join()


def test_stop_before_the_start_runs_what_is_there_and_ends(calls):
    registry = Registry(2)
    call = calls.inject(registry, len, "ab")
    registry.stop()
    registry.start()
    registry.join()
    assert call.wait() == 2


def test_join_but_not_a_stuck_worker(open_registry, calls, gate):
    registry = open_registry(2)
    with gate:
        call = calls.inject(registry, gate.hold)
        gate.block_until_entered()
        (stuck,) = registry.running_jobs()
        registry.stop()
        registry.join(but_not={stuck})
        alive = [thread.is_alive() for thread in registry._threads]
        assert alive == [index == stuck for index in range(2)]
    call.wait()


# Starting, and failing


def test_start_names_its_threads(open_registry, calls):
    registry = open_registry(2, name="files")
    barrier = threading.Barrier(2)

    def name():
        barrier.wait(TIMEOUT)
        return threading.current_thread().name

    names = {calls.inject(registry, name) for _ in range(2)}
    assert {call.wait() for call in names} == {"runtime-files-0", "runtime-files-1"}


@pytest.mark.parametrize("worker_count", [1, 3])
def test_start_has_as_many_threads_as_workers(open_registry, worker_count):
    registry = open_registry(worker_count)
    assert registry.worker_count == worker_count == len(registry._threads)
    assert len(registry.statistics()) == worker_count


@pytest.mark.parametrize("refused", [0, 1, 2])
def test_start_thread_that_cannot_start_stops_those_that_did(monkeypatch, refused):
    real, started = sync.start_thread, []

    def start_thread(target, name):
        if len(started) == refused:
            raise RuntimeError("can't start new thread")
        started.append(real(target, name))
        return started[-1]

    monkeypatch.setattr(sync, "start_thread", start_thread)
    registry = Registry(3)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        registry.start()
    assert len(started) == refused
    assert not any(thread.is_alive() for thread in started)


@white_box
def test_failure_of_the_scheduler_is_reported_once_and_stops_all(
    open_registry, monkeypatch
):
    bug, failures = LookupError("a bug of ours"), []
    monkeypatch.setattr(Worker, "_find", lambda self: fail(bug))
    registry = open_registry(3, on_failure=failures.append)
    for thread in registry._threads:
        thread.join(TIMEOUT)
        assert not thread.is_alive()
    assert failures == [bug]


@white_box
def test_failure_of_one_worker_wakes_and_stops_the_others(
    open_registry, calls, wait_for
):
    failures = []
    registry = open_registry(3, on_failure=failures.append)
    wait_for(registry.is_everyone_asleep)
    call = calls.make(len, "ab")
    # A sink must not raise: one that does is a bug of ours.
    call.job.sink = lambda job: fail(LookupError("a bug of ours"))
    registry.inject(call.job)
    for thread in registry._threads:
        thread.join(TIMEOUT)
        assert not thread.is_alive()
    assert [str(error) for error in failures] == ["a bug of ours"]


@white_box
def test_failure_with_nobody_to_report_to_still_stops(open_registry, monkeypatch):
    monkeypatch.setattr(Worker, "_find", lambda self: fail(LookupError("a bug")))
    registry = open_registry(2)
    registry.join()


def test_worker_is_forgotten_when_its_thread_ends(open_registry, calls):
    registry = open_registry(2)
    calls.inject(registry, len, "ab").wait()
    registry.stop()
    registry.join()
    assert not [w for w in worker_module._workers.values() if w.registry is registry]


# Sleeping


def test_idle_workers_all_fall_asleep_and_wake(open_registry, calls, wait_for):
    registry = open_registry(3)
    for _ in range(20):
        wait_for(registry.is_everyone_asleep)
        assert registry.is_anyone_idle()
        assert calls.inject(registry, len, "ab").wait() == 2


@white_box
def test_asleep_workers_do_nothing(open_registry, wait_for, monkeypatch):
    monkeypatch.setattr(worker_module, "PARK_STEPS", 0)
    searches = []
    find = Worker._find

    def counting_find(self):
        searches.append(None)
        return find(self)

    monkeypatch.setattr(Worker, "_find", counting_find)
    registry = open_registry(2)
    wait_for(lambda: registry.is_everyone_asleep() and all_parked(registry))
    before = len(searches)
    for _ in range(1_000):
        os.sched_yield()  # the workers' chance to do something
    assert len(searches) == before


def all_parked(registry):
    return all(worker.parks == worker.wake_ups + 1 for worker in registry.statistics())


def test_busy_workers_are_not_idle(open_registry, calls, gate):
    registry = open_registry(2)
    barrier = threading.Barrier(3)
    with gate:

        def body():
            barrier.wait(TIMEOUT)
            gate.hold()

        busy = [calls.inject(registry, body) for _ in range(2)]
        barrier.wait(TIMEOUT)
        assert not registry.is_anyone_idle()
        assert not registry.is_everyone_asleep()
        assert {id(job) for job in registry.running_jobs().values()} == {
            id(call.job) for call in busy
        }
        assert sorted(registry.running_jobs()) == [0, 1]
    for call in busy:
        call.wait()


@white_box
def test_spin_rounds_are_searched_before_sleep(open_registry, monkeypatch, wait_for):
    monkeypatch.setattr(worker_module, "PARK_STEPS", 0)
    yields = []
    monkeypatch.setattr(sync, "yield_core", lambda: yields.append(None))
    registry = open_registry(1, spin_rounds=5)
    wait_for(lambda: registry.is_everyone_asleep() and all_parked(registry))
    assert len(yields) == 5


# Counting


def test_statistics_account_for_every_job(open_registry, calls, wait_for):
    registry = open_registry(2)
    for call in [calls.inject(registry, sum, range(100)) for _ in range(100)]:
        call.wait()
    wait_for(registry.is_everyone_asleep)
    workers = registry.statistics()
    assert [worker.worker_index for worker in workers] == [0, 1]
    for worker in workers:
        assert worker.jobs_executed == worker.run_time.count
        assert worker.jobs_executed == worker.queue_latency.count
        assert worker.parks >= worker.wake_ups
        assert (worker.busy_ns > 0) == (worker.jobs_executed > 0)
    assert sum(worker.jobs_executed for worker in workers) == 100


def test_statistics_withdrawn_jobs_are_not_executed(lone, calls, gate):
    with gate:
        calls.inject(lone, gate.hold)
        gate.block_until_entered()
        for _ in range(5):
            assert lone.withdraw(calls.inject(lone, len, "ab").job)
    calls.inject(lone, len, "ab").wait()
    assert lone.statistics()[0].jobs_executed == 2


# Releasing


def test_leak_delivered_job_is_kept_by_nobody(open_registry, calls, wait_for):
    registry = open_registry(2)
    refs = []

    def use(argument):
        result = Thing()
        refs.append(weakref.ref(result))
        return result

    argument = Thing()
    refs.append(weakref.ref(argument))
    call = calls.inject(registry, use, argument)
    assert isinstance(call.wait(), Thing)
    del argument

    def all_dead():
        # What two threads dropped is freed when their counts are merged.
        gc.collect()
        return not any(ref() for ref in refs)

    wait_for(registry.is_everyone_asleep)
    wait_for(all_dead)
    assert call.job.fn is None


def test_leak_failed_job_s_frames_are_kept_by_nobody(lone, calls, wait_for):
    refs = []

    def body():
        local = Thing()
        refs.append(weakref.ref(local))
        raise ValueError("why")

    def run():
        with pytest.raises(ValueError, match="why"):
            calls.inject(lone, body).wait()

    run()

    def all_dead():
        gc.collect()
        return not any(ref() for ref in refs)

    wait_for(all_dead)


def test_leak_result_dropped_elsewhere_is_freed_while_the_pool_is_idle(
    lone, calls, wait_for, monkeypatch
):
    """What a worker made and another thread dropped dies without a collection.

    1. the worker makes an object and parks;
    2. this thread drops the last reference;
    3. the worker's next short step frees it.
    """
    monkeypatch.setattr(worker_module, "PARK_STEP", 0.001)
    monkeypatch.setattr(worker_module, "PARK_STEPS", 1_000_000)
    gc.disable()
    try:
        result = calls.inject(lone, Thing).wait()
        wait_for(lone.is_everyone_asleep)
        ref = weakref.ref(result)
        del result
        wait_for(lambda: ref() is None)
    finally:
        gc.enable()


def test_release_jobs_of_many_injectors_are_freed_exactly_once(
    open_registry, calls, wait_for
):
    registry = open_registry(2)
    freed = []

    def inject_some(base):
        for number in range(base, base + 200):
            thing = Thing()
            weakref.finalize(thing, freed.append, number)
            calls.inject(registry, id, thing).wait()

    run_threaded(lambda: inject_some(0), lambda: inject_some(200))

    def all_freed():
        gc.collect()
        return len(freed) == 400

    wait_for(all_freed)
    assert sorted(freed) == list(range(400))
