"""What the native core does when memory runs out; run by test_no_memory.

``python no_memory.py SHIM CASE`` with the compiled ``c/no_memory.c`` preloaded. All
happens on one thread: a worker's step is a call of its ``run_one``.
"""

import contextvars
import ctypes
import decimal
import gc
import sys
import weakref
from functools import partial

from runtime._core import Batch
from runtime._native import scheduler
from runtime._native.scheduler import DONE, QUEUED, WITHDRAWN, Job, Registry, join

FIRST_CAPACITY = 64  # of a deque and of a lane: one more makes it grow
MOST_ALLOCATIONS = 10_000


class Thing:
    """What a job is given: it must die with the job."""


class Calls:
    """Jobs, what ran, and what they were given."""

    def __init__(self):
        self.ran = []
        self.things = []

    def make(self, fn=None, sink=None):
        thing = Thing()
        self.things.append(weakref.ref(thing))
        args = (self.ran.append, len(self.things), thing)
        return Job(fn or call, args, contextvars.copy_context(), sink=sink)

    def check_all_ran_once(self, count):
        assert sorted(self.ran) == list(range(1, count + 1)), self.ran

    def check_things_died(self):
        gc.collect()
        assert not any(thing() for thing in self.things)


def call(note, number, _thing):
    note(number)


def at_each_allocation(shim, case):
    """Run a case once for every allocation of the call that it yields.

    A case yields the call; it is sent the error, or None, and goes on to check.
    """
    for n in range(MOST_ALLOCATIONS):
        has_failed = ctypes.c_int()
        steps = case()
        operation = next(steps)
        error = None
        try:
            shim.no_memory_call(n, operation, ctypes.byref(has_failed))
        except MemoryError as raised:
            error = raised.with_traceback(None)
        try:
            steps.send(error)
        except StopIteration:
            pass
        if not has_failed.value:
            assert error is None, "it failed though nothing failed"
            return n
    raise AssertionError("no end of allocations")


def drain(worker):
    while worker.run_one():
        pass


def new_registry():
    made = []
    error = yield lambda: made.append(Registry(2))
    assert bool(made) == (error is None)
    calls = Calls()
    registry = Registry(2)
    registry.inject(calls.make())
    drain(registry._workers[0])
    calls.check_all_ran_once(1)


def new_job():
    made = []
    context = contextvars.copy_context()
    error = yield lambda: made.append(Job(int, ("7",), context))
    assert bool(made) == (error is None)
    for job in made:
        assert job.phase == QUEUED
        assert job.args == ("7",)


def submit(queued):
    """One job from outside, behind others."""
    registry, calls = Registry(2), Calls()
    for _ in range(queued):
        registry.inject(calls.make())
    job = calls.make()
    error = yield partial(registry.inject, job)
    assert job.phase == QUEUED
    assert len(registry.injector) == queued + (error is None)
    if error is not None:
        registry.inject(job)
    del job
    drain(registry._workers[0])
    calls.check_all_ran_once(queued + 1)
    calls.check_things_died()


def submit_many():
    """All jobs or none."""
    registry, calls = Registry(2), Calls()
    registry.inject(calls.make())
    jobs = [calls.make() for _ in range(3 * FIRST_CAPACITY)]
    error = yield partial(registry.inject_many, jobs)
    assert len(registry.injector) == (1 if error else 1 + len(jobs))
    if error is not None:
        registry.inject_many(jobs)
    del jobs
    drain(registry._workers[0])
    calls.check_all_ran_once(3 * FIRST_CAPACITY + 1)
    calls.check_things_died()


def push(queued):
    """One job into a worker's own deque, which grows."""
    registry, calls = Registry(2), Calls()
    (worker, _) = registry._workers
    for _ in range(queued):
        worker.push(calls.make())
    job = calls.make()
    error = yield partial(worker.push, job)
    assert job.phase == QUEUED
    assert len(worker.deque) == queued + (error is None)
    if error is not None:
        worker.push(job)
    del job
    drain(worker)
    calls.check_all_ran_once(queued + 1)
    calls.check_things_died()


def run():
    """A job is done, and its outcome there, whatever there was no memory for."""
    registry, left = Registry(1), scheduler.Latch()
    job = Job(bytes, (1000,), contextvars.copy_context(), sink=left.set)
    registry.inject(job)
    error = yield registry._workers[0].run_one
    assert error is None, "the job's error is the job's"
    assert job.phase == DONE
    assert left.probe()
    try:
        assert job.outcome.unwrap() == bytes(1000)
    except MemoryError:
        pass
    calls = Calls()
    registry.inject(calls.make())
    drain(registry._workers[0])
    calls.check_all_ran_once(1)


def fork(depth):
    """Forks inside forks, so that the deque grows; run by one worker."""
    registry, ran = Registry(1), []
    (worker,) = registry._workers

    def tree(level):
        if level == depth:
            ran.append("leaf")
        else:
            join(tree, level + 1, ran.append, level)

    job = Job(tree, (0,), contextvars.copy_context())
    registry.inject(job)
    error = yield worker.run_one
    assert error is None
    assert job.phase == DONE
    assert len(worker.deque) == 0
    assert len(set(ran)) == len(ran), "a half ran twice"
    try:
        job.outcome.unwrap()
    except MemoryError:
        pass
    else:
        assert len(ran) == depth + 1, "a half was lost"
    calls = Calls()
    registry.inject(calls.make())
    drain(worker)
    calls.check_all_ran_once(1)


def withdraw():
    """Withdrawing holds, and what stays queued runs."""
    registry, calls = Registry(1), Calls()
    jobs = [calls.make() for _ in range(10)]
    registry.inject_many(jobs)
    for job in jobs[:5]:
        assert registry.withdraw(job)
    error = yield partial(registry.withdraw, jobs[5])
    assert error is None
    assert [job.phase for job in jobs] == [WITHDRAWN] * 6 + [QUEUED] * 4
    drain(registry._workers[0])
    assert calls.ran == [7, 8, 9, 10]
    del jobs, job
    calls.check_things_died()


def look():
    """Snapshots fail cleanly."""
    registry, calls = Registry(2), Calls()
    registry.inject(calls.make())
    yield lambda: (registry.statistics(), registry.running_jobs())
    drain(registry._workers[0])
    assert registry.statistics()[0].jobs_executed == 1


def decimal_context():
    """A context with something in it that each item copies."""
    context = contextvars.Context()
    context.run(decimal.getcontext)
    return context


def batch(context):
    """A batch either completes, or tells of the error; no item is used twice."""
    registry, used, closed = Registry(1), [], []
    (worker,) = registry._workers
    one = Batch(
        used.append,
        range(8),
        context.copy(),
        token=scheduler.CancelToken(),
        sink=closed.append,
        lane=1,
    )
    registry.inject(one.first_piece())
    error = yield partial(drain, worker)
    assert len(set(used)) == len(used), "an item was used twice"
    if error is not None:
        return  # out of the sink, for the worker to report: the pool is broken
    assert closed == [one]
    if one.is_complete:
        assert used == list(range(8))
    else:
        assert any(isinstance(found, MemoryError) for found in one.errors())


CASES = {
    "new_registry": new_registry,
    "new_job": new_job,
    "submit_first": partial(submit, 0),
    "submit_growing": partial(submit, FIRST_CAPACITY),
    "submit_many": submit_many,
    "push_growing": partial(push, FIRST_CAPACITY),
    "run": run,
    "join": partial(fork, 1),
    "join_growing": partial(fork, FIRST_CAPACITY + 1),
    "withdraw": withdraw,
    "look": look,
    "batch": partial(batch, contextvars.Context()),
    "batch_decimal": partial(batch, decimal_context()),
}


def main(shim_path, case):
    shim = ctypes.PyDLL(shim_path)
    shim.no_memory_call.restype = ctypes.py_object
    shim.no_memory_call.argtypes = (
        ctypes.c_long,
        ctypes.py_object,
        ctypes.POINTER(ctypes.c_int),
    )
    next(CASES[case]())()  # once as it is, so that everything has been imported
    shim.no_memory_install()
    count = at_each_allocation(shim, CASES[case])
    print(count)  # noqa: T201  # what the test reads


if __name__ == "__main__":
    main(*sys.argv[1:])
