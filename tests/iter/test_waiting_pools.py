"""Pools that wait for each other, and for themselves: nothing hangs."""

import threading

import pytest
from helpers import TIMEOUT, run_threaded

import runtime


def within_time(fn):
    """Return what fn() does, in a thread that must end in time."""
    answers = []
    thread = threading.Thread(target=lambda: answers.append(fn()), daemon=True)
    thread.start()
    thread.join(TIMEOUT)
    assert not thread.is_alive(), "it hangs"
    return answers[0]


@pytest.mark.parametrize("workers", [1, 2])
def test_run_from_one_of_its_own_workers_is_made_in_place(workers):
    with runtime.open_sync_pool(workers) as pool:
        ident = threading.get_ident
        outer, inner = within_time(
            lambda: pool.run(lambda: (ident(), pool.run(lambda: pool.run(ident))))
        )
        assert outer == inner


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_pools_of_one_worker_run_each_other_s_calls(depth):
    with runtime.open_sync_pool(1) as a, runtime.open_sync_pool(1) as b:

        def call(depth):
            return depth and 1 + b.run(lambda: 1 + a.run(call, depth - 1))

        assert within_time(lambda: a.run(call, depth)) == 2 * depth


def test_pools_run_each_other_s_calls_at_the_same_time():
    with runtime.open_sync_pool(2) as a, runtime.open_sync_pool(2) as b:

        def many(first, second):
            return [first.run(lambda: second.run(lambda: first.run(int, "1")))] * 20

        calls = [lambda: many(a, b), lambda: many(b, a)] * 2
        assert run_threaded(*calls) == [[1] * 20] * 4


def test_items_of_a_chain_use_their_own_pool():
    with runtime.open_sync_pool(2) as pool:
        chain = runtime.par_iter(range(200)).map(lambda x: pool.run(pow, x, 2))
        assert within_time(lambda: pool.run(chain.sum)) == sum(
            x * x for x in range(200)
        )


def test_halves_and_calls_of_a_scope_use_another_pool():
    with runtime.open_sync_pool(1) as other, runtime.open_sync_pool(2) as pool:
        seen = []

        def use(x):
            seen.append(other.run(lambda: pool.run(abs, x)))

        def work():
            runtime.join(use, 1, use, 2)
            with runtime.scope() as scope:
                for x in range(3, 9):
                    scope.spawn(use, x)

        within_time(lambda: pool.run(work))
        assert sorted(seen) == list(range(1, 9))


def test_block_of_a_pool_inside_a_job_is_left_while_its_jobs_use_the_outer(gate):
    """The only worker of the outer pool leaves the inner one's block meanwhile."""
    with runtime.open_sync_pool(1) as outer:
        answers = []

        def job():
            with runtime.open_sync_pool(1) as inner:
                call = threading.Thread(
                    target=lambda: answers.append(
                        inner.run(lambda: (gate.hold(), outer.run(int, "7")))
                    ),
                    daemon=True,
                )
                call.start()
                gate.block_until_entered()
                gate.open()
            return call

        with gate:
            within_time(lambda: outer.run(job)).join(TIMEOUT)
        assert [answer[1] for answer in answers] == [7]


async def test_jobs_of_a_worker_pool_wait_for_a_sync_pool():
    """Its only worker waits, and what it waits for needs a worker of that pool."""
    async with runtime.open_worker_pool(1, backend="threads") as pool:

        def job(x):
            with runtime.open_sync_pool(1) as mine:
                return mine.run(abs, x)

        assert await pool.spawn_parallel_batch(range(5), job) == list(range(5))
        assert await pool.par_iter(range(5)).map(job).collect() == list(range(5))


async def test_stop_of_a_job_reaches_the_call_it_waits_for(gate):
    async with runtime.open_worker_pool(1, backend="threads") as pool:

        def job():
            with runtime.open_sync_pool(1) as mine:
                mine.run(gate.hold_while, runtime.check_cancelled)

        with gate:
            job = await pool.submit(job)
            await gate.wait_entered()
            job.cancel()
            with pytest.raises(runtime.TaskCancelled):
                await job.wait()


def test_broadcast_inside_a_broadcast(sync_pool):
    count = sync_pool.worker_count
    inner = within_time(
        lambda: sync_pool.run(
            runtime.broadcast, lambda: runtime.broadcast(threading.get_ident)
        )
    )
    assert len(inner) == count
    assert all(sorted(idents) == sorted(inner[0]) for idents in inner)
    assert len(set(inner[0])) == count


def test_broadcast_of_three_pools_inside_each_other():
    with runtime.open_sync_pool(2) as a, runtime.open_sync_pool(2) as b:

        def outer():
            return b.run(runtime.broadcast, inner)

        def inner():
            return a.run(runtime.broadcast, lambda: 1)

        answer = within_time(lambda: a.run(runtime.broadcast, outer))
        assert answer == [[[1, 1]] * 2] * 2


def test_broadcast_after_spares_have_worked(pair):
    """Whether a worker or its spare is there: as many calls as workers."""

    def wait():
        with runtime.blocking():
            pair.run(int)
            spare.set()
            assert may_end.wait(TIMEOUT)

    for _ in range(5):
        spare, may_end = threading.Event(), threading.Event()
        waiting = threading.Thread(target=pair.run, args=[wait])
        waiting.start()
        assert spare.wait(TIMEOUT)
        idents = pair.run(runtime.broadcast, threading.get_ident)
        assert len(set(idents)) == 2
        may_end.set()
        waiting.join(TIMEOUT)
        idents = pair.run(runtime.broadcast, threading.get_ident)
        assert len(set(idents)) == 2
