"""join, scopes and chains inside a job: the same on every backend.

In interpreters they run in place, one call after the other.
"""

from functools import partial

import data_parallel as work
import jobs
import pytest
import trio
from helpers import cancelled_after

import runtime


async def test_join_in_a_job_nests(pool):
    assert await pool.spawn_cpu_work(work.fib, 12) == 144
    numbers = [n * 7919 % 1000 for n in range(1000)]
    assert await pool.spawn_cpu_work(work.merge_sort, numbers) == sorted(numbers)


async def test_join_in_a_job_raises_what_the_calls_would(single, calls):
    fail = partial(jobs.fail, "half")
    with pytest.raises(ValueError, match="half"):
        await single.spawn_cpu_work(work.join, int, fail)
    with pytest.raises(ValueError, match="half"):
        await single.spawn_cpu_work(work.join, fail, partial(calls.append, 1))
    assert list(calls) == []  # nobody stole it
    with pytest.raises(TypeError, match=r"write join\(f, g\), .*; 3 arguments"):
        await single.spawn_cpu_work(work.join, int, int, int)


async def test_join_in_a_job_runs_the_second_half_in_a_copied_context(single):
    seen = await single.spawn_cpu_work(work.join_changing_variables)
    assert seen == ("job", "job", "first")


async def test_worker_local_in_a_job_is_the_worker_s_own(single, open_pool):
    assert await single.spawn_cpu_work(work.note, 1) == [1]
    assert await single.spawn_cpu_work(work.note, 2) == [1, 2]
    async with open_pool(1, name="other") as other:
        assert await other.spawn_cpu_work(work.note, 3) == [3]


async def test_scope_in_a_job_runs_all_that_is_spawned(pool):
    assert await pool.spawn_cpu_work(work.scope_of_tree, 6) == 2**7 - 1


async def test_scope_in_a_job_takes_calls_of_other_threads(pool, calls):
    await pool.spawn_cpu_work(work.spawn_in_thread, calls)
    assert list(calls) == [1]


async def test_scope_in_a_job_raises_a_group(single, calls):
    fail = partial(jobs.fail, "call")
    note = partial(calls.append, 1)
    with pytest.RaisesGroup(pytest.RaisesExc(ValueError, match="call")):
        await single.spawn_cpu_work(work.scope_of, note, note, fail)
    assert list(calls) == []  # the newest first; then nothing begins any more
    with pytest.raises(ValueError, match="call"):  # the body's own
        await single.spawn_cpu_work(work.scope_with_body, fail, note)
    assert list(calls) == []


async def test_scope_in_a_job_copies_the_spawner_s_context(single):
    assert await single.spawn_cpu_work(work.scope_changing_variables) == (
        "job",
        "block",
    )


async def test_scope_in_a_job_takes_nothing_after_its_end(single):
    with pytest.raises(RuntimeError, match="spawn inside of it"):
        await single.spawn_cpu_work(work.spawn_late)


@pytest.mark.parametrize("data", [range(3000), list(range(3000)), range(72)])
async def test_chain_in_a_job_answers_as_plain_python(pool, data):
    for answer, expected in await pool.spawn_cpu_work(work.tour, data):
        assert answer == expected


async def test_chain_in_a_job_over_iterators_answers_as_plain_python(pool):
    for answer, expected in await pool.spawn_cpu_work(work.tour_over_iterators, 3000):
        assert answer == expected


async def test_chain_in_a_job_nests(pool):
    expected = sum(n * (n - 1) for n in range(100))
    assert await pool.spawn_cpu_work(work.chain_of_chains, 100) == expected


@pytest.mark.parametrize("make", [list, iter])
async def test_chain_in_a_job_that_fails_raises_a_group(pool, make):
    with pytest.RaisesGroup(pytest.RaisesExc(ValueError, match="3")):
        await pool.spawn_cpu_work(work.fail_in_chain, 3, make([1, 2, 3, 4]))


def in_join_first(fn):
    return partial(work.join, fn, int)


def in_join_second(fn):
    return partial(work.join, int, fn)


def in_scope(fn):
    return partial(work.scope_of, fn)


def in_chain(fn):
    return partial(work.chain, partial(work.call_for_each, fn), range(10))


def in_chain_over_iterator(fn):
    return partial(work.chain, partial(work.call_for_each, fn), iter([1, 2]))


IN_SCOPE = [in_scope]
IN_OTHERS = [in_join_first, in_join_second, in_chain, in_chain_over_iterator]


@pytest.mark.parametrize("way", IN_SCOPE + IN_OTHERS)
async def test_check_in_a_call_ends_a_cancelled_job(pool, way, gate):
    job = await pool.submit(way(partial(jobs.hold_until_cancelled, gate)))
    await gate.wait_entered()
    job.cancel()
    with pytest.raises(runtime.TaskCancelled):
        await job.wait()
    assert await pool.spawn_cpu_work(work.fib, 5) == 5


@pytest.mark.parametrize("way", IN_OTHERS)
async def test_interrupt_of_a_call_ends_the_job(pool, way, gate, calls):
    loop = way(partial(jobs.loop, gate, calls))
    async with cancelled_after(gate.wait_entered) as scope:
        await pool.spawn_cpu_work(loop, on_cancel="interrupt")
    assert scope.cancelled_caught
    assert set(calls) == {"JobInterrupted"}
    assert await pool.spawn_cpu_work(work.fib, 5) == 5


@pytest.mark.parametrize("count", [10**12, None], ids=["range", "iterator"])
async def test_chain_in_a_cancelled_job_ends_at_its_next_leaf(pool, gate, count):
    async with cancelled_after(gate.wait_entered) as scope:
        await pool.spawn_cpu_work(work.chain_over_squares, gate, count)
    assert scope.cancelled_caught


async def test_scope_in_a_cancelled_job_begins_nothing_more(single, gate, calls):
    """The end of the block ends the job, though no call asks."""
    job = await single.submit(
        work.scope_and_note, partial(gate.hold), partial(calls.append, 1), calls
    )
    await gate.wait_entered()
    job.cancel()
    gate.open()
    with pytest.raises(runtime.TaskCancelled):
        await job.wait()
    assert list(calls) == []


async def test_chain_in_a_job_may_ask_home(pool):
    assert await pool.spawn_cpu_work(work.ask_in_chain, 10) == 90


async def test_chains_in_jobs_side_by_side_on_one_worker(single, make_gate):
    """A job that has waited goes on beside the one that took its place."""
    first, second = make_gate(), make_gate()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(single.spawn_cpu_work, work.block_and_chain, first, 1000)
        await first.wait_entered()
        job = await single.submit(work.chain_beside, second, first, 1000)
        await second.wait_entered()
        first.open()
        second.open()
        assert await job.wait() == sum(range(1000))


VERBS = [partial(work.join, int, int), work.scope_of, partial(work.chain, int, [1])]


@pytest.mark.parametrize("verb", VERBS, ids=["join", "scope", "chain"])
async def test_misuse_in_a_thread_of_a_job_s_own(single, verb, backend):
    (error,) = await single.spawn_cpu_work(work.outside_of_a_job, verb)
    instead = "open_sync_pool" if backend == "threads" else "in the job's own thread"
    assert "works only inside a job" in error
    assert instead in error
