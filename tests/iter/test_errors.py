"""What a chain does when something in it fails or it is cancelled."""

import itertools
import os
import threading

import pytest
import trio
from helpers import TIMEOUT

import runtime


def fail_at(*places):
    def check(item):
        if item in places:
            raise ValueError(item)
        return item

    return check


SOURCES = {
    "range": range,
    "list": lambda n: list(range(n)),
    "iterator": lambda n: iter(range(n)),
}


@pytest.mark.parametrize("source", SOURCES)
def test_one_failure_is_a_group_of_one(sync_pool, splitting, source):
    chain = runtime.par_iter(SOURCES[source](300)).map(fail_at(150))
    with pytest.RaisesGroup(pytest.RaisesExc(ValueError, match="150")) as caught:
        chain.sum()
    assert "in sum(): 1 item failed" in str(caught.value)


@pytest.mark.parametrize("source", SOURCES)
def test_failure_keeps_the_rest_from_beginning(source):
    begun = []
    with runtime.open_sync_pool(1):
        chain = runtime.par_iter(SOURCES[source](100_000)).inspect(begun.append)
        with pytest.RaisesGroup(ValueError):
            chain.map(fail_at(20)).count()
    assert begun == list(range(21))


@pytest.mark.parametrize("early", [0, 7])
def test_failures_of_several_workers_are_in_input_order(pair, early):
    """Both items have begun when the first of them fails, whichever that is."""
    barrier = threading.Barrier(2)
    has_failed = threading.Event()

    def fail(item):
        if item in (0, 7):
            barrier.wait(TIMEOUT)
            if item == early:
                has_failed.set()
            else:
                assert has_failed.wait(TIMEOUT)
                for _ in range(1000):
                    os.sched_yield()  # it is about to be noted
            raise ValueError(item)

    with pytest.RaisesGroup(ValueError, ValueError) as caught:
        runtime.par_iter(range(8)).map(fail).collect()
    assert [error.args for error in caught.value.exceptions] == [(0,), (7,)]


def test_failing_combine_is_a_failure_like_an_item_s(pair, splitting):
    def combine(a, b):
        raise KeyError("combine")

    chain = runtime.par_iter(range(100))
    with pytest.raises(ExceptionGroup) as caught:  # one worker's, or that of both
        chain.fold(list, lambda a, x: a, combine)
    assert {type(error) for error in caught.value.exceptions} == {KeyError}


def test_failing_iterator_is_a_failure_after_the_items_before_it(sync_pool):
    def items():
        yield from range(10)
        raise OSError("source")

    seen = []
    with pytest.RaisesGroup(pytest.RaisesExc(OSError, match="source")):
        runtime.par_iter(items()).for_each(seen.append)


def test_interrupt_of_an_item_leaves_in_a_base_group(pair):
    def stop(_item):
        raise KeyboardInterrupt

    with pytest.raises(BaseExceptionGroup) as caught:
        runtime.par_iter(range(10)).for_each(stop)
    assert {type(e) for e in caught.value.exceptions} == {KeyboardInterrupt}


def test_list_that_shrinks_is_an_error(pair):
    numbers = list(range(10_000))

    def shrink(item):
        if item == 100:
            del numbers[200:]

    with pytest.raises(ExceptionGroup) as caught:
        runtime.par_iter(numbers).for_each(shrink)
    assert {type(e) for e in caught.value.exceptions} <= {RuntimeError, IndexError}


@pytest.mark.parametrize("make", [lambda: range(10**9), itertools.count])
async def test_cancelled_chain_stops_at_its_next_leaf(make):
    async with runtime.open_worker_pool(2) as pool:
        begun = threading.Event()

        def work(item):
            begun.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(pool.par_iter(make()).for_each, work)
            assert await trio.to_thread.run_sync(begun.wait, TIMEOUT)
            nursery.cancel_scope.cancel()
        assert pool.statistics().in_flight == 0


async def test_item_that_sees_the_cancellation_ends_the_chain(gate):
    async with runtime.open_worker_pool(2) as pool:
        with gate:
            chain = pool.par_iter(range(100))
            job = await pool.submit(
                lambda: runtime.par_iter(range(100)).for_each(
                    lambda _: gate.hold_while(runtime.check_cancelled)
                )
            )
            await gate.wait_entered()
            job.cancel()
            with pytest.raises(runtime.TaskCancelled):
                await job.wait()
        assert await chain.sum() == 4950


def test_chain_without_workers_says_what_to_write():
    chain = runtime.par_iter(range(3)).map(str).filter(bool)
    with pytest.raises(runtime.NotOnWorkerError) as caught:
        chain.count()
    line = "runtime.par_iter(...).map(str).filter(bool).count()"
    assert str(caught.value).endswith(f"with runtime.open_sync_pool(): {line}")


async def test_chain_on_a_trio_thread_says_what_to_write():
    with pytest.raises(runtime.NotOnWorkerError) as caught:
        runtime.par_iter(range(3)).map(str).sum()
    assert caught.value.instead == "await pool.par_iter(...).map(str).sum()"


def test_endless_iterator_ends_when_the_answer_is_known(sync_pool):
    naturals = itertools.count()
    assert runtime.par_iter(naturals).find_first(lambda x: x > 5000) == 5001
    assert runtime.par_iter(itertools.count()).any(lambda x: x == 300)
    assert not runtime.par_iter(itertools.count()).all(lambda x: x < 300)


def test_find_first_does_not_look_at_all(pair):
    seen = []
    chain = runtime.par_iter(range(10_000_000)).inspect(seen.append)
    assert chain.find_first(lambda x: x == 1000) == 1000
    assert len(seen) < 9_000_000


def test_iterator_is_pulled_by_one_thread_at_a_time(sync_pool, splitting):
    inside = threading.Lock()

    def items():
        for item in range(2000):
            assert inside.acquire(blocking=False)
            inside.release()
            yield item

    assert runtime.par_iter(items()).map(str).collect() == [str(i) for i in range(2000)]


def test_chain_inside_a_chain(sync_pool, splitting):
    def row(n):
        return runtime.par_iter(range(n)).map(lambda x: x * n).sum()

    expected = [sum(x * n for x in range(n)) for n in range(40)]
    assert runtime.par_iter(range(40)).map(row).collect() == expected


def test_scratch_is_made_a_few_times_per_worker(sync_pool, splitting):
    made = []

    def make():
        made.append([])
        return made[-1]

    chain = runtime.par_iter(range(300)).map_init(make, lambda scratch, x: x)
    assert chain.sum() == sum(range(300))
    assert 1 <= len(made) <= sync_pool.worker_count


def test_scratch_of_a_leaf_inside_a_leaf_is_another(sync_pool, splitting):
    chains = []

    def use(lock, depth):
        assert lock.acquire(blocking=False), "somebody else has it"
        try:
            return depth and depth + chains[depth - 1].sum()
        finally:
            lock.release()

    base = runtime.par_iter(range(3)).map_init(threading.Lock, use)
    chains += [base.take(1), base.take(2), base.take(3)]
    assert base.sum() == 0 + (1 + 0) + (2 + 0 + 1)
