"""What the native core keeps, gives back, and does without memory."""

import contextvars
import gc
import sys
import weakref

import pytest


class Thing:
    """Something a weak reference can point to."""


def wait_until_dead(reference):
    """Memory of a worker's objects comes back when the worker runs next."""
    for _ in range(100):
        gc.collect()
        if reference() is None:
            return True
    return False


def test_release_call_and_result_die_after_the_job(native_pool):
    references = []

    def call(thing):
        made = Thing()
        references.extend([weakref.ref(thing), weakref.ref(made)])
        return made

    native_pool.run(call, Thing())
    assert all(wait_until_dead(reference) for reference in references)


def test_release_stolen_half_leaves_nothing(native, native_pool):
    references = []

    def half():
        made = Thing()
        references.append(weakref.ref(made))
        return made

    for _ in range(20):
        native_pool.run(native.join, half, half)
    assert all(wait_until_dead(reference) for reference in references)


def test_release_registry_with_queued_jobs_is_collected(native):
    things = [Thing(), Thing()]
    references = [weakref.ref(thing) for thing in things]
    registry = native.Registry(1)
    context = contextvars.copy_context()
    # The cycle: registry, job, registry.
    registry.inject(native.Job(print, (things.pop(), registry), context))
    (worker,) = registry._workers
    worker.push(native.Job(print, (things.pop(), worker), context.copy()))
    del registry, worker
    assert all(wait_until_dead(reference) for reference in references)


@pytest.mark.slow
def test_leak_none_over_many_jobs(native_pool):
    allocated = []
    for _ in range(3):
        for _ in range(20_000):
            native_pool.run(divmod, 7, 2)
        gc.collect()
        allocated.append(sys.getallocatedblocks())
    assert allocated[2] - allocated[1] < 1_000


def test_queued_job_is_small(native):
    """Job, token and context; the issue allows 300 bytes."""
    context = contextvars.copy_context()
    job = native.Job(divmod, (7, 2), context)
    size = sum(map(sys.getsizeof, (job, job.token, context)))
    assert size <= 300
