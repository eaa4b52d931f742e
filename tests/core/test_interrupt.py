"""Interrupting one job: in exactly it, and never where a lock would stay held."""

import functools
import sys
import threading
from contextlib import contextmanager
from contextvars import copy_context

import pytest
from helpers import TIMEOUT

from runtime import JobCancelled, JobInterrupted, check_cancelled, uninterruptible
from runtime._core import DONE, Job, Registry, current_worker, interrupt, probe
from runtime.lowlevel import core, join


class Target:
    """A job on a worker of its own that can be interrupted."""

    def __init__(self, registry, fn, *args):
        self.entered = threading.Event()
        self.left = threading.Event()
        self.job = Job(
            self._run, (fn, args), copy_context(), sink=lambda _job: self.left.set()
        )
        registry.inject(self.job)
        assert self.entered.wait(TIMEOUT)

    def _run(self, fn, args):
        self.entered.set()
        return fn(*args)

    def interrupt(self):
        return interrupt.interrupt(self.job.token, lambda: self.job.phase == DONE)

    def end(self):
        """Wait for the job's end and return its error, or None."""
        assert self.left.wait(TIMEOUT), "the job was not reached"
        probe.nudge()
        return getattr(self.job.outcome, "error", None)


@pytest.fixture
def registry():
    """Two workers."""
    registry = Registry(2, name="interrupt")
    registry.start()
    yield registry
    registry.stop()
    registry.join()
    probe.nudge()


# Loops that hold a lock now and then, and never end by themselves.


def with_on_one_line(lock):
    n = 0
    while True:
        with lock: n += 1  # fmt: skip # noqa: E701


def with_on_two_lines(lock):
    n = 0
    while True:
        with lock:
            n += 1


def with_around_a_loop(lock):
    with lock:
        while True:
            pass


def with_around_branches(lock):
    on = True
    with lock:
        while on:
            if lock:
                on = True
            else:
                continue


def with_left_by_return(lock):
    def once():
        for n in range(3):
            with lock:
                if n == 1:
                    return n
        return 0

    while True:
        once()


def with_in_a_generator(lock):
    def numbers():
        while True:
            with lock:
                yield 1

    for _ in numbers():
        pass


def with_a_generator_manager(lock):
    @contextmanager
    def locked():
        lock.acquire()
        try:
            yield
        finally:
            lock.release()

    while True:
        with locked():
            pass


def with_a_python_manager(lock):
    class Locked:
        def __enter__(self):
            lock.acquire()
            self.count = sum(n for n in range(3))

        def __exit__(self, *error):
            self.count = sum(n for n in range(3))
            lock.release()

    while True:
        with Locked():
            pass


def acquire_and_try(lock):
    n = 0
    while True:
        lock.acquire()
        try:
            n += 1
        finally:
            lock.release()


def with_a_condition(lock):
    condition = threading.Condition(lock)
    while True:
        with condition:
            condition.notify_all()


def finalizer_that_locks(lock):
    class Locking:
        def __del__(self):
            with lock:
                sum(n for n in range(3))

    while True:
        Locking()


HOLDERS = [
    with_on_one_line,
    with_on_two_lines,
    with_around_a_loop,
    with_around_branches,
    with_left_by_return,
    with_in_a_generator,
    with_a_generator_manager,
    with_a_python_manager,
    acquire_and_try,
    with_a_condition,
    finalizer_that_locks,
]


# Loops that offer no start of a line, or hardly any.


def bare_loop():
    while True:
        pass


def comprehension():
    [None for _ in iter(int, 1)]


def nested_generators():
    sum(n for n in (n for n in iter(int, 1)))


def sort_with_key():
    numbers = list(range(2_000))
    while True:
        numbers.sort(key=lambda n: -n)


def map_with_lambda():
    for _ in map(lambda n: n, iter(int, 1)):  # noqa: C417
        pass


def finally_without_end():
    try:
        pass
    finally:
        while True:
            pass


ENDLESS = [
    bare_loop,
    comprehension,
    nested_generators,
    sort_with_key,
    map_with_lambda,
    finally_without_end,
]


@pytest.mark.parametrize("holder", HOLDERS, ids=lambda fn: fn.__name__)
def test_interrupt_leaves_no_lock_held(registry, holder):
    for _ in range(10):
        lock = threading.Lock()
        target = Target(registry, holder, lock)
        target.interrupt()
        error = target.end()
        assert type(error) is JobInterrupted
        target.job.outcome = error = None
        assert lock.acquire(timeout=TIMEOUT)


@pytest.mark.parametrize("endless", ENDLESS, ids=lambda fn: fn.__name__)
def test_interrupt_reaches_every_loop(registry, endless):
    target = Target(registry, endless)
    request = target.interrupt()
    assert type(target.end()) is JobInterrupted
    assert request.was_met


def test_interrupt_of_a_c_call_comes_when_it_returns(registry):
    gate = threading.Lock()
    gate.acquire()
    after = []

    def call_and_go_on():
        gate.acquire()
        bare_loop()
        after.append(1)

    target = Target(registry, call_and_go_on)
    request = target.interrupt()
    assert not request.was_met
    gate.release()
    assert type(target.end()) is JobInterrupted
    assert after == []


def test_interrupt_too_late_vanishes(registry):
    """The next job on the same worker, and the next instruction, are left alone."""
    target = Target(registry, int)
    target.end()
    request = target.interrupt()
    for _ in range(20):
        follower = Target(registry, sum, range(1_000))
        assert follower.end() is None
    assert not request.was_met


def test_interrupt_reaches_its_job_only(registry):
    stop = []
    turns = [0]

    def bystander():
        while not stop:
            turns[0] += 1
        return turns[0]

    other = Target(registry, bystander)
    target = Target(registry, bare_loop)
    target.interrupt()
    assert type(target.end()) is JobInterrupted
    seen = turns[0]
    while turns[0] == seen:
        pass  # the other goes on
    stop.append(True)
    assert other.end() is None


def test_interrupt_of_two_at_once_reaches_both(registry):
    targets = [Target(registry, bare_loop) for _ in range(2)]
    for target in targets:
        target.interrupt()
    assert [type(target.end()) for target in targets] == [JobInterrupted] * 2


def test_interrupt_is_raised_once(registry):
    """A job that catches it goes on, while the events are on again and again."""
    caught = []
    met = threading.Event()
    resumed = threading.Event()

    def stubborn():
        try:
            bare_loop()
        except JobInterrupted:
            caught.append(1)
        met.set()
        while not resumed.is_set():
            pass
        return "went on"

    target = Target(registry, stubborn)
    target.interrupt()
    assert met.wait(TIMEOUT)
    window = threading.Event()
    other = Target(registry, bare_loop)  # has the events on once more
    other.interrupt()
    assert type(other.end()) is JobInterrupted
    window.set()
    resumed.set()
    assert target.end() is None
    assert caught == [1]


def test_interrupt_of_a_join_reaches_both_halves(registry):
    both = threading.Barrier(3)

    def half():
        both.wait(TIMEOUT)
        bare_loop()

    target = Target(registry, join, half, half)
    both.wait(TIMEOUT)
    target.interrupt()
    assert type(target.end()) is JobInterrupted


def test_interrupt_of_an_outer_job_waits_for_the_inner_one(registry):
    """What runs on top of the target's stack is not the target."""
    go = threading.Event()
    inner_ran = threading.Event()
    inner_job = Job(lambda: inner(), (), copy_context())

    def inner():
        inner_ran.set()
        while not go.is_set():
            pass
        return "done"

    def outer():
        current_worker().execute(inner_job)
        bare_loop()

    target = Target(registry, outer)
    assert inner_ran.wait(TIMEOUT)
    request = target.interrupt()
    other = Target(registry, bare_loop)
    other.interrupt()
    assert type(other.end()) is JobInterrupted  # so events were on
    assert not request.was_met
    go.set()
    assert type(target.end()) is JobInterrupted
    assert inner_job.outcome.unwrap() == "done"


def test_uninterruptible_section_is_finished_first(registry):
    asked = threading.Event()
    steps = []

    def work():
        with uninterruptible():
            with uninterruptible():
                while not asked.is_set():
                    pass
                steps.append("inner")
            steps.extend(n for n in range(100))
            steps.append("outer")
        steps.append("never")

    target = Target(registry, work)
    target.interrupt()
    other = Target(registry, bare_loop)
    other.interrupt()
    assert type(other.end()) is JobInterrupted  # so events were on
    asked.set()
    assert type(target.end()) is JobInterrupted
    assert steps == ["inner", *range(100), "outer"]


def test_uninterruptible_section_left_by_an_error_keeps_it(registry):
    asked = threading.Event()

    def work():
        with uninterruptible():
            while not asked.is_set():
                pass
            raise KeyError("mine")

    target = Target(registry, work)
    request = target.interrupt()
    asked.set()
    error = target.end()
    assert type(error) in {KeyError, JobInterrupted}
    assert request.was_met == (type(error) is JobInterrupted)


def test_uninterruptible_outside_a_job_does_nothing():
    with uninterruptible():
        pass


def test_job_told_by_its_token_is_not_interrupted_as_well(registry):
    """It is on its way out already; its handlers may clean up."""
    told = threading.Event()
    go = threading.Event()

    def work():
        try:
            while True:
                with uninterruptible():
                    check_cancelled()
        except JobCancelled:
            told.set()
            while not go.is_set():
                pass
            raise

    target = Target(registry, work)
    target.job.token.is_set = True
    assert told.wait(TIMEOUT)
    go.set()
    assert type(target.end()) is JobCancelled


def test_callback_calls_no_dict_get():
    """It would make the threads wait for each other: INTERRUPT.md."""
    called = [
        probe._Monitor._on_event,
        probe._Monitor.pending,
        probe.Probe.has_met,
        probe.Probe.meet,
        interrupt.Interrupt.may_act,
        interrupt.Interrupt._may_leave,
        interrupt._points_of,
        interrupt._is_untouched,
    ]
    if core == "python":
        called.append(current_worker)
    for fn in called:
        assert "get" not in fn.__code__.co_names, fn


def test_interrupt_without_a_tool_id_says_so(registry, monkeypatch, caplog):
    monkeypatch.setattr(probe, "TOOL_IDS", ())
    monitor = probe._Monitor()
    monkeypatch.setattr(probe, "add", monitor.add)
    target = Target(registry, functools.partial(sum, range(10)))
    for _ in range(2):
        assert not target.interrupt().is_possible
    assert len(caplog.records) == 1
    assert target.end() is None


def test_interrupt_uses_another_tool_id_if_one_is_taken(registry):
    monitor = probe._Monitor()
    taken = {tool_id: sys.monitoring.get_tool(tool_id) for tool_id in probe.TOOL_IDS}
    assert monitor._take_tool()
    try:
        assert monitor._tool_id is not None
        assert taken[monitor._tool_id] is None
    finally:
        sys.monitoring.free_tool_id(monitor._tool_id)


def test_events_are_off_when_nothing_is_to_be_reached(registry):
    target = Target(registry, bare_loop)
    target.interrupt()
    target.end()
    for thread in threading.enumerate():
        if thread.name == "runtime-probe":
            thread.join(TIMEOUT)
    assert probe._monitor._tool_id is not None
    assert sys.monitoring.get_events(probe._monitor._tool_id) == 0
