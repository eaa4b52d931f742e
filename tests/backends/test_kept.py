"""Interpreters that a closed pool leaves to the next one."""

import _interpreters
import gc
import weakref
from functools import partial

import data_parallel
import jobs
import pytest
from helpers import wait_until

import runtime
from runtime._backends import crossinterp, kept
from runtime.testing import end_kept_interpreters

pytestmark = pytest.mark.usefixtures("interpreters", "fresh_interpreters")

open_pool = partial(runtime.open_worker_pool, 1, backend="interpreters")


async def run_in_pool(fn, *args, **options):
    """Open a pool for one job; return its result and the interpreter's number."""
    async with open_pool(**options) as pool:
        number = await pool.spawn_cpu_work(jobs.interpreter_id)
        return await pool.spawn_cpu_work(fn, *args), number


async def number_of(**options):
    return (await run_in_pool(jobs.add, 1, **options))[1]


async def test_the_next_pool_gets_the_interpreter():
    first = await number_of()
    assert crossinterp.count() == 1
    assert [await number_of() for _ in range(3)] == [first] * 3
    assert crossinterp.count() == 1


async def test_two_pools_at_once_share_none():
    await number_of()
    async with open_pool() as pool, open_pool() as other:
        numbers = [await p.spawn_cpu_work(jobs.interpreter_id) for p in (pool, other)]
    assert len(set(numbers)) == 2


async def test_a_pool_takes_what_is_kept_and_creates_the_rest():
    await number_of()
    for _ in range(2):
        async with runtime.open_worker_pool(3, backend="interpreters") as pool:
            await wait_until(lambda: crossinterp.count() == 3)
            await pool.spawn_parallel_batch(range(100), jobs.square)
        assert crossinterp.count() == 3


async def test_a_module_that_a_job_changed_stays_as_it_is():
    """As in threads; the protocol says why it cannot be otherwise."""
    await run_in_pool(jobs.set_counter, 40)
    assert (await run_in_pool(jobs.bump))[0] == 41


async def test_the_environment_is_that_of_home(monkeypatch):
    monkeypatch.setenv("RUNTIME_TEST_OLD", "1")
    _, first = await run_in_pool(jobs.set_environment, "RUNTIME_TEST_JOB", "1")
    monkeypatch.delenv("RUNTIME_TEST_OLD")
    monkeypatch.setenv("RUNTIME_TEST_NEW", "2")
    for name, value in [("OLD", None), ("NEW", "2"), ("JOB", None)]:
        seen = await run_in_pool(jobs.get_environment, f"RUNTIME_TEST_{name}")
        assert seen == (value, first)


async def test_the_streams_are_the_original_ones():
    _, first = await run_in_pool(jobs.replace_streams)
    assert await run_in_pool(jobs.has_own_streams) == (True, first)


async def test_a_preload_is_imported_in_a_kept_interpreter():
    _, first = await run_in_pool(jobs.is_imported, "colorsys")
    seen = await run_in_pool(jobs.is_imported, "colorsys", preload=["colorsys"])
    assert seen == (True, first)


async def test_values_of_worker_local_belong_to_the_pool():
    assert (await run_in_pool(data_parallel.note, 1))[0] == [1]
    assert (await run_in_pool(data_parallel.note, 2))[0] == [2]


async def test_an_interrupt_works_in_a_kept_interpreter(make_gate, calls):
    """Its watch was that of the pool before."""
    for gate in (make_gate(), make_gate()):
        async with open_pool() as pool:
            job = await pool.submit(jobs.loop, gate, calls, on_cancel="interrupt")
            await gate.wait_entered()
            job.cancel()
            with pytest.raises(runtime.TaskCancelled):
                await job.wait()
    assert list(calls) == ["JobInterrupted"] * 2
    assert crossinterp.count() == 1


async def test_another_path_gets_another_interpreter(monkeypatch, tmp_path):
    first = await number_of()
    with monkeypatch.context() as patch:
        patch.syspath_prepend(tmp_path)
        assert await number_of() != first
    assert await number_of() == first


@pytest.mark.parametrize(
    "options",
    [{"initializer": jobs.set_counter, "initargs": (1,)}, {"max_jobs_per_worker": 9}],
    ids=["initializer", "max_jobs"],
)
async def test_some_pools_neither_leave_nor_take_one(options):
    await number_of(**options)
    assert crossinterp.count() == 0
    first = await number_of()
    assert await number_of(**options) != first
    assert await number_of() == first


async def test_one_with_a_thread_left_is_not_kept(gate):
    gate.open()
    await run_in_pool(jobs.leave_thread, gate)
    assert crossinterp.count() in {0, 1}  # 1: the thread had ended in time
    end_kept_interpreters()
    assert (await run_in_pool(jobs.leave_executor))[0] == 3
    assert crossinterp.count() == 0


async def test_one_that_keeps_what_was_lent_is_not_kept():
    data = bytearray(100_000)
    await run_in_pool(jobs.keep_view, memoryview(data))
    assert crossinterp.count() == 0
    gc.collect()
    data.extend(b"x")  # a BufferError while somebody has a view of it


async def test_no_more_are_kept_than_the_environment_says(monkeypatch):
    monkeypatch.setenv(kept.VARIABLE, "1")
    async with runtime.open_worker_pool(3, backend="interpreters"):
        await wait_until(lambda: crossinterp.count() == 3)
    await wait_until(lambda: crossinterp.count() == 1)
    monkeypatch.setenv(kept.VARIABLE, "0")
    await number_of()
    assert crossinterp.count() == 1  # it takes none either
    end_kept_interpreters()
    assert len(_interpreters.list_all()) == 1


@pytest.mark.parametrize("text", ["many", "-1", "1.5", "\N{SUPERSCRIPT TWO}"])
async def test_a_bound_that_is_no_number_is_named(monkeypatch, text):
    monkeypatch.setenv(kept.VARIABLE, text)
    with pytest.raises(ValueError, match=f"{kept.VARIABLE}.*0 for none"):
        await number_of()


async def test_a_kept_interpreter_lets_go_of_its_last_pool():
    async with open_pool() as pool:
        await pool.spawn_cpu_work(jobs.add, 1)
    registry = weakref.ref(pool._intake.backend)
    del pool
    gc.collect()
    assert crossinterp.count() == 1
    assert registry() is None


async def test_errors_that_only_a_collection_frees_harm_nothing():
    """Their tracebacks reach the worker's own frames, and what is in them."""
    async with open_pool() as pool:
        with pytest.raises(ValueError, match="round"):
            await pool.spawn_cpu_work(jobs.fail_in_a_cycle)
    assert crossinterp.count() == 1
