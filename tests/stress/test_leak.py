"""What many jobs leave behind: objects, weak references, memory.

The blocks of Python's allocator tell of every object, the resident memory also of what
the native core allocates by itself.

``RUNTIME_LEAK_JOBS=1000000`` runs a million jobs in each test; unset, a tenth of it.
"""

import contextvars
import gc
import os
import sys
import time
import weakref
from pathlib import Path
from typing import NamedTuple

import pytest
import trio
from helpers import TIMEOUT

import runtime
from runtime.lowlevel import Job, Latch, Registry

pytestmark = [pytest.mark.stress, pytest.mark.slow]

JOBS = int(os.environ.get("RUNTIME_LEAK_JOBS", "100000"))
CHUNK = 2_000
WARM_UP = 10 * CHUNK

# What the interpreter does on its own, whatever the number of jobs.
SLACK_OBJECTS = 200
SLACK_BLOCKS = 2_000
SLACK_BYTES = 4 << 20
# Free-threaded 3.13 keeps pages with nothing in them: some 30 bytes for each job, while
# the blocks in use do not grow. It is the interpreter's: two threads that hand objects
# over a SimpleQueue grow by 40 bytes each. Not seen on 3.14t, nor with a GIL.
IS_3_13T = sys.version_info < (3, 14) and not sys._is_gil_enabled()
MOST_BYTES_PER_JOB = 100 if IS_3_13T else 4


class Thing:
    """An argument, a result, a context variable's value: what must not stay."""

    __slots__ = ("__weakref__", "item")

    def __init__(self, item=None):
        self.item = item


variable = contextvars.ContextVar("variable")


def swap(thing):
    """Return a new thing made on the worker."""
    variable.set(Thing())
    return Thing(thing.item)


def fail(thing):
    raise RuntimeError(thing)


class Footprint(NamedTuple):
    """What the process holds at one moment."""

    objects: int
    blocks: int
    resident_bytes: int


def footprint():
    gc.collect()
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return Footprint(
        len(gc.get_objects()),
        sys.getallocatedblocks(),
        int(pages) * os.sysconf("SC_PAGE_SIZE"),
    )


def check_growth(before):
    """Fail if what the process holds has grown with the number of jobs."""
    after = footprint()
    print(f"{JOBS} jobs, core {runtime.lowlevel.core}: {before}, {after}")  # noqa: T201
    assert after.objects <= before.objects + SLACK_OBJECTS
    assert after.blocks <= before.blocks + SLACK_BLOCKS
    growth = after.resident_bytes - before.resident_bytes
    assert growth <= SLACK_BYTES + MOST_BYTES_PER_JOB * JOBS


def wait_until_dead(refs):
    """Wait until nobody holds what the references are to."""
    end = time.monotonic() + TIMEOUT
    while any(ref() is not None for ref in refs):
        assert time.monotonic() < end, (
            f"{sum(ref() is not None for ref in refs)} of {len(refs)} things stay"
        )
        gc.collect()  # on a free-threaded build it hands back what others made
        time.sleep(0.001)


def test_leak_jobs_of_the_core_leave_nothing():
    registry = Registry(2)
    registry.start()

    def run_chunk():
        refs, tickets = [], []
        for index in range(CHUNK):
            thing, done = Thing(index), Latch()
            fn = fail if index % 10 == 0 else swap
            job = Job(fn, (thing,), contextvars.copy_context(), sink=done.set)
            refs.append(weakref.ref(thing))
            registry.inject(job)
            if index % 10 == 1:
                registry.withdraw(job)
            tickets.append((job, done))
        for job, done in tickets:
            assert done.wait(TIMEOUT)
            outcome, job.outcome = job.outcome, None
            if hasattr(outcome, "value"):
                refs.append(weakref.ref(outcome.value))
        del tickets, job, done, outcome, thing
        wait_until_dead(refs)

    try:
        for _ in range(WARM_UP // CHUNK):
            run_chunk()
        before = footprint()
        for _ in range(JOBS // CHUNK):
            run_chunk()
        check_growth(before)
    finally:
        registry.stop()
        registry.join()


async def test_leak_calls_and_batches_of_a_pool_leave_nothing():
    async def call(pool, refs):
        thing = Thing()
        refs.append(weakref.ref(thing))
        refs.append(weakref.ref(await pool.spawn_cpu_work(swap, thing)))

    async def run_chunk_of(pool):
        refs = []
        things = [Thing(index) for index in range(CHUNK - 100)]
        results = await pool.spawn_parallel_batch(things, swap)
        refs += map(weakref.ref, things + results)
        del things, results
        async with trio.open_nursery() as nursery:
            for _ in range(100):
                nursery.start_soon(call, pool, refs)
        wait_until_dead(refs)

    async with runtime.open_worker_pool(2) as pool:
        for _ in range(WARM_UP // CHUNK):
            await run_chunk_of(pool)
        before = footprint()
        for _ in range(JOBS // CHUNK):
            await run_chunk_of(pool)
        check_growth(before)
