"""Threads that work in place of those that wait; the schedules are in tests/model."""

import threading

import pytest
from helpers import TIMEOUT, white_box

from runtime._core import Latch, current_worker, sync
from runtime._core import worker as worker_module
from runtime._core.parker import Parker
from runtime._core.selected import join  # the package has a module of that name
from runtime._core.sleep import Sleep
from runtime._errors import BrokenWorkerError, DeadlockError


@pytest.fixture
def gate():
    """A latch that is set at the latest when the test ends."""
    gate = Latch()
    yield gate
    if not gate.probe():
        gate.set()


class Waiter:
    """A job that waits outside until a gate opens, and says when it has left."""

    def __init__(self, gate, then=None):
        self.gate = gate
        self.then = then
        self.is_away = Latch()

    def __call__(self):
        me = current_worker()
        me.begin_wait()
        self.is_away.set()
        assert self.gate.wait(TIMEOUT)
        me.end_wait()
        return None if self.then is None else self.then()

    def wait_away(self):
        assert self.is_away.wait(TIMEOUT)


def index():
    return current_worker().index


# The lists of `Sleep`


def fall_asleep(sleep, parker):
    sleep.become_idle()
    sleep.become_sleepy(parker)
    return parker


def test_leave_with_nobody_in_reserve_asks_for_a_spare():
    sleep = Sleep()
    assert not sleep.leave()
    assert (sleep.num_away, sleep.num_sleeping()) == (0, 0)


def test_leave_with_a_fresh_spare_lets_it_sleep_below_all_others():
    sleep = Sleep()
    sleeper = fall_asleep(sleep, Parker())
    spare = Parker(is_spare=True)
    assert sleep.leave(spare)
    assert sleep.num_away == 1
    sleep.wake_all()
    assert sleeper.park(0)
    assert spare.park(0)


def test_leave_wakes_nobody_and_a_post_wakes_the_spare_last():
    sleep = Sleep()
    sleeper, spare = fall_asleep(sleep, Parker()), Parker(is_spare=True)
    sleep.leave(spare)
    assert not spare.park(0)
    sleep.work_posted()
    assert (sleeper.park(0), spare.park(0)) == (True, False)


def test_come_back_to_a_sleeper_moves_it_to_the_reserve_and_wakes_nobody():
    sleep = Sleep()
    spare = Parker(is_spare=True)
    sleep.leave(spare)
    sleep.come_back()
    assert (sleep.num_away, sleep.num_sleeping(), sleep.excess) == (0, 0, 0)
    sleep.work_posted()
    assert not spare.park(0)
    assert sleep.leave()  # it is in reserve
    assert sleep.num_sleeping() == 1


def test_come_back_with_everybody_busy_makes_one_too_many_until_one_sleeps():
    sleep = Sleep()
    sleep.leave(Parker(is_spare=True))
    sleep.work_posted()  # the spare is idle now
    sleep.come_back()
    assert sleep.excess
    sleep.become_sleepy(Parker())
    assert (sleep.excess, sleep.num_sleeping()) == (0, 0)


def test_leave_while_one_is_too_many_needs_no_spare():
    sleep = Sleep()
    sleep.leave(Parker(is_spare=True))
    sleep.work_posted()
    sleep.come_back()
    assert sleep.leave()
    assert (sleep.excess, sleep.num_sleeping()) == (0, 0)


def test_stay_awake_in_reserve_posts_for_another_and_parks():
    sleep = Sleep()
    sleep.leave(Parker(is_spare=True))
    sleep.work_posted()
    other = fall_asleep(sleep, Parker())
    sleep.become_idle()
    moved = Parker(is_spare=True)
    sleep.become_sleepy(moved)
    sleep.become_active(bool)
    sleep.come_back()  # moves it, as the lowest
    assert not sleep.stay_awake(moved)
    assert other.park(0)
    assert not moved.park(0)


def test_stay_awake_in_reserve_at_the_order_to_stop_is_idle():
    sleep = Sleep()
    spare = Parker(is_spare=True)
    sleep.leave(spare)
    sleep.come_back()
    assert sleep.stay_awake(spare, is_stopping=True)
    sleep.become_active(bool)


def test_retire_from_the_reserve_is_allowed():
    sleep = Sleep()
    spare = Parker(is_spare=True)
    sleep.leave(spare)
    sleep.come_back()
    assert sleep.retire(spare)
    assert not sleep.leave()


def test_retire_of_a_spare_that_is_needed_is_refused():
    sleep = Sleep()
    spare = Parker(is_spare=True)
    sleep.leave(spare)
    assert not sleep.retire(spare)
    sleep.work_posted()
    assert not sleep.retire(spare)


def test_retire_of_a_sleeper_puts_a_worker_of_the_reserve_in_its_place():
    sleep = Sleep()
    spare, worker = Parker(is_spare=True), Parker()
    sleep.leave(spare)
    sleep.work_posted()
    sleep.come_back()
    sleep.become_idle()
    sleep.become_sleepy(worker)  # it steps down
    sleep.become_sleepy(spare)
    assert sleep.retire(spare)
    assert sleep.num_sleeping() == 1
    sleep.work_posted()
    assert worker.park(0)


# Registries


def test_one_worker_that_waits_is_replaced(open_registry, calls, gate):
    registry = open_registry(1)
    waiter = Waiter(gate)
    waiting = calls.inject(registry, waiter)
    waiter.wait_away()
    assert registry.num_waiting() == 1
    assert calls.inject(registry, index).wait() == 1  # the spare's
    gate.set()
    waiting.wait()
    assert registry.num_waiting() == 0


def test_jobs_in_the_waiting_worker_s_own_deque_are_run(open_registry, calls, gate):
    registry = open_registry(1)
    pushed = calls.make(gate.set)

    def push_and_wait():
        me = current_worker()
        me.push(pushed.job)
        me.begin_wait()
        assert gate.wait(TIMEOUT)
        me.end_wait()

    calls.inject(registry, push_and_wait).wait()


def test_wait_with_nothing_to_do_keeps_the_spare_asleep(open_registry, calls):
    registry = open_registry(1)

    def wait_for_nothing():
        me = current_worker()
        for _ in range(10):
            me.begin_wait()
            me.end_wait()

    calls.inject(registry, wait_for_nothing).wait()
    _, spare = registry.statistics()
    assert (spare.wake_ups, spare.jobs_executed) == (0, 0)
    assert len(registry._threads) == 2  # one spare for all ten


def test_waits_may_be_nested(open_registry, calls):
    registry = open_registry(1)

    def wait_within_wait():
        me = current_worker()
        me.begin_wait()
        me.begin_wait()
        me.end_wait()
        while_inside = registry.num_waiting()
        me.end_wait()
        return while_inside, registry.num_waiting()

    assert calls.inject(registry, wait_within_wait).wait() == (1, 0)


def test_no_job_begins_while_all_lanes_are_taken(open_registry, calls, gate, wait_for):
    """Who comes back goes on at once; the next one to end a job steps down."""
    registry = open_registry(1)
    back, end = Latch(), Latch()

    def hold():
        back.set()
        assert end.wait(TIMEOUT)

    waiter = Waiter(gate, then=hold)
    waiting = calls.inject(registry, waiter)
    waiter.wait_away()
    spare_runs, spare_ends = Latch(), Latch()

    def run_on_spare():
        spare_runs.set()
        assert spare_ends.wait(TIMEOUT)

    on_spare = calls.inject(registry, run_on_spare)
    assert spare_runs.wait(TIMEOUT)
    gate.set()
    assert back.wait(TIMEOUT)  # both run now
    third = calls.inject(registry, index)
    spare_ends.set()
    on_spare.wait()
    wait_for(lambda: registry.statistics()[1].parks == 1)  # it has stepped down
    assert not third.left.probe()
    end.set()
    waiting.wait()
    assert third.wait() == 0
    wait_for(registry.is_everyone_asleep)


def test_spare_limit_is_a_deadlock_error_and_the_wait_does_not_begin(
    open_registry, calls, gate
):
    registry = open_registry(1, spare_limit=1, name="small")
    first, second = Waiter(gate), Waiter(gate)
    waiting = calls.inject(registry, first)
    first.wait_away()
    with pytest.raises(DeadlockError, match="1 jobs of pool 'small' wait"):
        calls.inject(registry, second).wait()
    gate.set()
    waiting.wait()
    assert calls.inject(registry, Waiter(gate)).wait() is None


def test_spare_whose_thread_cannot_start_is_a_broken_worker_error(
    open_registry, calls, gate, monkeypatch
):
    registry = open_registry(1)

    def refuse(target, name):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(sync, "start_thread", refuse)
        with pytest.raises(BrokenWorkerError, match=r"worker 1 .* could not start"):
            calls.inject(registry, Waiter(gate)).wait()
    gate.set()
    calls.inject(registry, Waiter(gate)).wait()  # the pool is whole


def test_many_waits_at_once_each_get_a_spare(open_registry, calls, gate):
    registry = open_registry(2)
    waiters = [Waiter(gate) for _ in range(10)]
    waiting = [calls.inject(registry, waiter) for waiter in waiters]
    for waiter in waiters:
        waiter.wait_away()
    assert registry.num_waiting() == 10
    assert registry.worker_count == 2
    assert len(registry.running_jobs()) == 10
    gate.set()
    for call in waiting:
        call.wait()
    assert calls.inject(registry, int).wait() == 0


def test_stop_while_a_worker_waits_ends_the_spares(open_registry, calls, gate):
    registry = open_registry(1)
    waiter = Waiter(gate)
    waiting = calls.inject(registry, waiter)
    waiter.wait_away()
    registry.stop()
    registry.join(but_not=registry.running_jobs())
    assert [t.is_alive() for t in registry._threads] == [True, False]
    gate.set()
    waiting.wait()


def test_wait_after_the_order_to_stop_starts_no_spare(open_registry, calls, gate):
    registry = open_registry(1)
    running = Latch()

    def wait_late():
        running.set()
        assert gate.wait(TIMEOUT)
        me = current_worker()
        me.begin_wait()
        me.end_wait()

    waiting = calls.inject(registry, wait_late)
    assert running.wait(TIMEOUT)
    registry.stop()
    gate.set()
    waiting.wait()
    assert len(registry._threads) == 1


@white_box
def test_spare_that_is_not_needed_ends_and_is_started_again(
    open_registry, calls, monkeypatch
):
    monkeypatch.setattr(worker_module, "PARK_STEPS", 0)
    monkeypatch.setattr(worker_module, "SPARE_KEEP_ALIVE", 0.001)
    registry = open_registry(1)
    for _ in range(3):
        gate = Latch()
        waiter = Waiter(gate)
        waiting = calls.inject(registry, waiter)
        waiter.wait_away()
        calls.inject(registry, int).wait()
        gate.set()
        waiting.wait()
        for thread in registry._threads[1:]:
            thread.join(TIMEOUT)
            assert not thread.is_alive()
        assert len(registry.stealers) == 1
    assert len(registry._threads) == 2


def test_deque_of_a_waiting_worker_is_stolen_from(open_registry, calls, gate):
    """A fork that was pushed before the wait is run by the spare."""
    registry = open_registry(1)

    def fork():
        def wait():
            me = current_worker()
            me.begin_wait()
            assert gate.wait(TIMEOUT)
            me.end_wait()
            return index()

        def open_gate():
            gate.set()
            return threading.get_ident()

        (mine, theirs), own = join(wait, open_gate), threading.get_ident()
        return mine, theirs != own

    assert calls.inject(registry, fork).wait() == (0, True)
