"""runtime.broadcast: once on every worker."""

import sys
import threading
from functools import partial

import pytest
import trio
from helpers import TIMEOUT, run_threaded

import runtime
from runtime._iter import broadcast as broadcast_module
from runtime.lowlevel import current_worker


def index():
    return current_worker().index


def test_broadcast_calls_once_on_every_worker(sync_pool):
    for _ in range(20):
        assert runtime.broadcast(index) == list(range(sync_pool.worker_count))


def test_broadcast_from_inside_a_job(sync_pool):
    assert sync_pool.run(runtime.broadcast, index) == list(
        range(sync_pool.worker_count)
    )


def test_broadcast_failures_arrive_in_a_group(sync_pool):
    with pytest.RaisesGroup(*[ValueError] * sync_pool.worker_count):
        runtime.broadcast(int, "x")
    assert runtime.broadcast(int, "7") == [7] * sync_pool.worker_count


def test_race_broadcast_vs_broadcast(sync_pool):
    """Several threads broadcast at once, from outside and from inside jobs.

    1. each round needs every worker, and each worker may be about to begin a round;
    2. a worker that finds a round going on serves that first;
    3. so all rounds end, each with one call per worker.
    """
    workers = list(range(sync_pool.worker_count))

    def many():
        return [sync_pool.run(runtime.broadcast, index) for _ in range(20)]

    for rounds in run_threaded(many, many, many, many):
        assert rounds == [workers] * 20


def test_broadcast_waits_for_a_busy_worker(pair, gate):
    with gate:
        busy = threading.Thread(target=pair.run, args=[gate.hold])
        busy.start()
        gate.block_until_entered()
        answers = []
        caller = threading.Thread(
            target=lambda: answers.append(pair.run(runtime.broadcast, index))
        )
        caller.start()
        gate.open()
        for thread in (busy, caller):
            thread.join(TIMEOUT)
            assert not thread.is_alive()
    assert answers == [[0, 1]]


def test_broadcast_in_a_stolen_half_is_a_deadlock_that_is_said(pair):
    begun = threading.Event()
    refused = threading.Event()

    def first():
        assert begun.wait(TIMEOUT)
        assert refused.wait(TIMEOUT)

    def second():
        begun.set()
        try:
            runtime.broadcast(index)
        finally:
            refused.set()

    with pytest.raises(runtime.DeadlockError, match="fork"):
        runtime.join(first, second)


def test_broadcast_in_a_scope_is_a_deadlock_that_is_said(pair):
    begun = threading.Event()
    refused = threading.Event()

    def other():
        begun.set()
        assert refused.wait(TIMEOUT)

    def block():
        with runtime.scope() as scope:
            scope.spawn(other)
            assert begun.wait(TIMEOUT)
            try:
                with pytest.raises(runtime.DeadlockError, match="fork"):
                    runtime.broadcast(index)
            finally:
                refused.set()

    pair.run(block)


async def test_broadcast_asked_for_by_a_stolen_half_is_a_deadlock_that_is_said():
    begun = threading.Event()

    async def ask_for(pool):
        await pool.spawn_cpu_work(runtime.broadcast, index)

    def first():
        assert begun.wait(TIMEOUT)

    def second(pool):
        begun.set()
        runtime.from_worker.run(ask_for, pool)

    def fork(pool):
        runtime.join(first, partial(second, pool))

    async with runtime.open_worker_pool(2, backend="threads") as pool:
        with (
            trio.fail_after(TIMEOUT),
            pytest.raises(runtime.DeadlockError, match="ask"),
        ):
            await pool.spawn_cpu_work(fork, pool)


async def test_broadcast_that_a_job_asks_for_and_waits_for_takes_place():
    async def ask_for(pool):
        return await pool.spawn_cpu_work(runtime.broadcast, int)

    async with runtime.open_worker_pool(2, backend="threads") as pool:
        run = partial(runtime.from_worker.run, ask_for, pool)
        with trio.fail_after(TIMEOUT):
            assert await pool.spawn_cpu_work(run) == [0, 0]


def by_join():
    runtime.join(int, int)


def by_scope():
    with runtime.scope() as scope:
        scope.spawn(int)
        scope.spawn(int)


def by_chain():
    runtime.par_iter(range(8)).map(abs).collect(list)


@pytest.mark.parametrize("fork", [by_join, by_scope, by_chain])
def test_broadcast_after_a_fork_is_none_inside_of_it(fork):
    def run():
        for _ in range(100):
            fork()
            assert runtime.broadcast(int) == [0] * 3

    with runtime.open_sync_pool(3) as pool:
        pool.run(run)


async def test_pool_broadcast_is_the_async_twin():
    async with runtime.open_worker_pool(3) as pool:
        assert await pool.broadcast(index) == [0, 1, 2]
    async with runtime.testing.inline_pool() as pool:
        assert await pool.broadcast(divmod, 7, 2) == [(3, 1)]


async def test_broadcast_on_a_trio_thread_says_what_to_write():
    with pytest.raises(runtime.NotOnWorkerError, match=r"await pool\.broadcast\(fn\)$"):
        runtime.broadcast(index)


def test_misuse_broadcast_of_no_function(sync_pool):
    with pytest.raises(TypeError, match=r"broadcast\(\) takes a function, not 3"):
        runtime.broadcast(3)


OURS = broadcast_module.__file__, threading.__file__


class Finalizer:
    """Broadcasts at the k-th line of a broadcast, as one that is collected there."""

    def __init__(self, k):
        self.left = k
        self.answer = None

    def call_with(self, fn, *args):
        sys.settrace(self.trace)
        try:
            return fn(*args)
        finally:
            sys.settrace(None)

    def trace(self, frame, event, _arg):
        if frame.f_code.co_filename not in OURS:
            return None
        if event == "line" and self.left >= 0:
            self.left -= 1
            if self.left < 0:
                sys.settrace(None)
                self.answer = runtime.broadcast(index)
        return self.trace


@pytest.mark.parametrize("worker_count", [1, 2])
def test_broadcast_by_a_finalizer_at_every_line_of_a_broadcast(worker_count):
    workers = list(range(worker_count))
    finalizers = []
    with runtime.open_sync_pool(worker_count) as pool:
        while not finalizers or finalizers[-1].left < 0:
            finalizer = Finalizer(len(finalizers))
            finalizers.append(finalizer)
            call = partial(finalizer.call_with, runtime.broadcast, index)
            assert pool.run(call) == workers
    *came, last = [finalizer.answer for finalizer in finalizers]
    assert came == [workers] * len(came)
    assert last is None
    assert len(came) > 10
