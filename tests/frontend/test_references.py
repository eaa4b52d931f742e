"""After delivery the runtime keeps nothing of the user's.

With an inline pool all happens in one thread, so an object dies with its last
reference, without a garbage collection; where a cycle is allowed, the test says so.
"""

import gc
import weakref

import jobs
import pytest
import trio
import trio.testing

import runtime
from runtime._frontend.call import Call
from runtime.testing import inline_pool


class Thing:
    """Something a weak reference can watch."""


class Failure(Exception):
    """An error a weak reference can watch."""


class Work:
    """A callable that a weak reference can watch."""

    def __call__(self, thing):
        return Thing()


class Fails:
    def __call__(self, thing):
        raise Failure


@pytest.fixture(autouse=True)
def no_collection():
    """Let nothing die by chance: only by its last reference."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


async def use_call(pool, fn, thing):
    return await pool.spawn_cpu_work(fn, thing)


async def use_submit(pool, fn, thing):
    # The job in no variable here: this frame is in its error's traceback.
    return await (await pool.submit(fn, thing)).wait()


async def use_batch(pool, fn, thing):
    (result,) = await pool.spawn_parallel_batch([thing], fn)
    return result


async def use_map(pool, fn, thing):
    async with pool.map(fn, [thing]) as results:
        return await anext(results)


WAYS = [use_call, use_submit, use_batch, use_map]


@pytest.mark.parametrize("use", WAYS)
async def test_leak_function_arguments_and_result_die_with_their_users(use):
    async with inline_pool() as pool:
        fn, thing = Work(), Thing()
        watched = [weakref.ref(fn), weakref.ref(thing)]
        result = await use(pool, fn, thing)
        watched.append(weakref.ref(result))
        del fn, thing, result
        # Trio and the event loop may hold a frame for one more step.
        await trio.testing.wait_all_tasks_blocked()
        assert [ref() for ref in watched] == [None] * 3


@pytest.mark.parametrize("use", [use_call, use_submit])
async def test_leak_error_dies_with_its_users(use):
    async with inline_pool() as pool:
        fn, thing = Fails(), Thing()
        watched = [weakref.ref(fn), weakref.ref(thing)]
        try:
            await use(pool, fn, thing)
        except Failure as error:
            watched.append(weakref.ref(error))
        del fn, thing
        await trio.testing.wait_all_tasks_blocked()
        assert [ref() for ref in watched] == [None] * 3


async def test_leak_error_dies_with_the_last_handle():
    async with inline_pool() as pool:
        job = pool.submit_nowait(Fails(), Thing())
        watched = []
        for _ in range(2):
            try:
                await job.wait()
            except Failure as error:
                watched.append(weakref.ref(error))
        assert watched[0]() is watched[1]() is not None
        del job
        await trio.testing.wait_all_tasks_blocked()
        assert watched[0]() is None


async def test_leak_error_that_nobody_waited_for_dies_with_its_group():
    watched = []

    async def leave_it():
        async with inline_pool() as pool:
            pool.submit_nowait(Fails(), Thing())

    try:
        await leave_it()
    except* Failure as group:
        watched.append(weakref.ref(group.exceptions[0]))
    gc.collect()  # a group and the frames of its traceback may be a cycle
    assert watched[0]() is None


@pytest.mark.parametrize("use", [use_batch, use_map])
async def test_leak_error_in_a_group_dies_with_its_users(use):
    async with inline_pool() as pool:
        fn, thing = Fails(), Thing()
        watched = [weakref.ref(fn), weakref.ref(thing)]
        try:
            await use(pool, fn, thing)
        except ExceptionGroup as group:
            watched.append(weakref.ref(group.exceptions[0]))
        del fn, thing
        await trio.testing.wait_all_tasks_blocked()
        gc.collect()  # a group and the frames of its traceback may be a cycle
        assert [ref() for ref in watched] == [None] * 3


async def test_leak_call_itself_dies_with_its_wait():
    async with inline_pool() as pool:
        await pool.spawn_cpu_work(abs, 1)
        await trio.testing.wait_all_tasks_blocked()
        assert not [thing for thing in gc.get_objects() if type(thing) is Call]


async def test_leak_withdrawn_call_drops_its_objects_at_once(manual):
    """Its empty entry may wait behind a stuck worker for long."""
    fn, thing = Work(), Thing()
    watched = [weakref.ref(fn), weakref.ref(thing)]
    for _ in range(5):  # or the lane would be compacted
        manual.pool.submit_nowait(abs, 1)
    with trio.move_on_after(0.001):
        await manual.pool.spawn_cpu_work(fn, thing)
    del fn, thing
    await trio.testing.wait_all_tasks_blocked()
    assert manual.pool.statistics().queued == 6
    assert [ref() for ref in watched] == [None] * 2


async def test_leak_withdrawn_job_drops_its_objects_at_once(manual):
    fn, thing = Work(), Thing()
    watched = [weakref.ref(fn), weakref.ref(thing)]
    for _ in range(5):
        manual.pool.submit_nowait(abs, 1)
    job = manual.pool.submit_nowait(fn, thing)
    job.cancel()
    del fn, thing
    assert manual.pool.statistics().queued == 6
    assert [ref() for ref in watched] == [None] * 2


async def test_leak_withdrawn_batch_drops_its_objects_at_once(manual):
    fn, thing = Work(), Thing()
    watched = [weakref.ref(fn), weakref.ref(thing)]
    for _ in range(5):
        manual.pool.submit_nowait(abs, 1)
    with trio.move_on_after(0.001):
        await manual.pool.spawn_parallel_batch([thing], fn)
    del fn, thing
    await trio.testing.wait_all_tasks_blocked()
    assert manual.pool.statistics().queued == 6
    assert [ref() for ref in watched] == [None] * 2


async def test_leak_result_made_by_a_worker_dies_after_a_collection():
    """On free-threaded builds memory returns when its maker's thread next runs."""
    async with runtime.open_worker_pool(1) as pool:
        fn, thing = Work(), Thing()
        watched = [weakref.ref(fn), weakref.ref(thing)]
        result = await pool.spawn_cpu_work(fn, thing)
        watched.append(weakref.ref(result))
        del fn, thing, result
        await pool.spawn_cpu_work(abs, 1)
        gc.collect()
        assert [ref() for ref in watched] == [None] * 3


@pytest.mark.parametrize("use", WAYS)
async def test_leak_what_crossed_dies_at_home_with_its_users(single, use):
    """Of a job on any backend, whose function goes to an interpreter by its name."""
    thing = jobs.Thing()
    watched = [weakref.ref(thing)]
    result = await use(single, jobs.same, thing)
    watched.append(weakref.ref(result))
    del thing, result
    await single.spawn_cpu_work(abs, 1)
    gc.collect()
    assert [ref() for ref in watched] == [None] * 2
