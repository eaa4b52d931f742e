"""runtime.scope: many calls, one end."""

import contextvars
import threading

import pytest
from helpers import TIMEOUT

import runtime

variable = contextvars.ContextVar("variable", default="unset")


def spawn_tree(scope, depth, done):
    """Spawn a tree of calls from inside the calls."""
    done.append(depth)
    if depth:
        scope.spawn(spawn_tree, scope, depth - 1, done)
        scope.spawn(spawn_tree, scope, depth - 1, done)


@pytest.fixture(params=["plain thread", "job"])
def run(request, sync_pool):
    """Run a function in a plain thread, or inside a job."""
    return sync_pool.run if request.param == "job" else lambda fn, *args: fn(*args)


def test_scope_waits_for_all_that_was_spawned(run):
    def work():
        done = []
        with runtime.scope() as scope:
            for number in range(100):
                scope.spawn(done.append, number)
        return done

    assert sorted(run(work)) == list(range(100))


def test_scope_calls_may_spawn_into_it(run):
    def work():
        done = []
        with runtime.scope() as scope:
            scope.spawn(spawn_tree, scope, 6, done)
        return done

    assert len(run(work)) == 2**7 - 1


def test_scope_of_nothing_ends(run):
    def work():
        with runtime.scope():
            return "left"

    assert run(work) == "left"


def test_scope_failures_arrive_in_a_group_even_one(run):
    def work():
        with runtime.scope() as scope:
            scope.spawn(int, "x")

    with pytest.RaisesGroup(ValueError):
        run(work)


def test_scope_first_failure_keeps_the_rest_from_beginning():
    begun = []

    def work():
        with runtime.scope() as scope:
            for number in range(50):
                scope.spawn(begun.append, number)
            scope.spawn(int, "x")

    with runtime.open_sync_pool(1) as pool, pytest.RaisesGroup(ValueError):
        pool.run(work)  # one worker leaves the block and runs the newest first
    assert begun == []


def test_scope_body_s_own_error_leaves_as_it_is(run):
    def work():
        with runtime.scope() as scope:
            scope.spawn(int)
            raise KeyError("body")

    with pytest.raises(KeyError, match="body"):
        run(work)


def test_scope_body_s_error_and_a_call_s_are_a_group(pair):
    failed = threading.Event()

    def fail():
        try:
            raise ValueError("call")
        finally:
            failed.set()

    with (
        pytest.RaisesGroup(KeyError, ValueError),
        runtime.scope() as scope,
    ):
        scope.spawn(fail)
        assert failed.wait(TIMEOUT)
        raise KeyError("body")


def test_scope_call_runs_in_a_copy_of_the_spawner_s_context(run):
    seen = []

    def work():
        variable.set("spawner")
        with runtime.scope() as scope:
            scope.spawn(lambda: seen.append(variable.get()))
            scope.spawn(variable.set, "call")
        return variable.get()

    assert contextvars.copy_context().run(run, work) == "spawner"  # it stays here
    assert seen == ["spawner"]


def test_scope_takes_nothing_after_its_end(pair):
    with runtime.scope() as scope:
        pass
    with pytest.raises(RuntimeError, match="spawn inside of it"):
        scope.spawn(int)


def test_scope_waiting_worker_runs_calls_of_its_scope_only(pair, gate):
    """A waiting worker may hold the user's lock: only its own calls run on it.

    1. one of two workers is held; the other opens a scope, and its call is held, too;
    2. a job is injected: nobody is free for it, though the scope's worker only waits
       as soon as the held one was given the scope's call;
    3. it begins after the scope has ended.
    """
    order = []
    with gate:

        def call():
            gate.hold()
            order.append("call")

        def work():
            with runtime.scope() as scope:
                scope.spawn(call)
                gate.block_until_entered()  # stolen: it runs elsewhere
            order.append("scope")

        def other():
            order.append("other")

        threads = [threading.Thread(target=pair.run, args=[work])]
        threads[0].start()
        gate.block_until_entered()
        threads.append(threading.Thread(target=pair.run, args=[other]))
        threads[1].start()
        gate.open()
        for thread in threads:
            thread.join(TIMEOUT)
            assert not thread.is_alive()
    assert order.index("call") < order.index("scope")
    assert "other" in order


async def test_scope_in_a_cancelled_job_ends_it(gate):
    async with runtime.open_worker_pool(2) as pool:
        with gate:

            def work():
                with runtime.scope() as scope:
                    scope.spawn(gate.hold_while, runtime.check_cancelled)

            job = await pool.submit(work)
            await gate.wait_entered()
            job.cancel()
            with pytest.raises(runtime.TaskCancelled):
                await job.wait()


async def test_scope_on_a_trio_thread_says_what_to_write():
    with pytest.raises(runtime.NotOnWorkerError, match="open_nursery"):
        runtime.scope()


def test_scope_in_a_plain_thread_says_what_to_write():
    with pytest.raises(runtime.NotOnWorkerError, match="open_sync_pool"):
        runtime.scope()


def test_scope_in_a_thread_that_is_interrupted_waits_for_what_runs(pair, interrupt):
    """Ctrl-C at the end of a block: nothing new begins, and what runs is waited for."""
    ended = []

    def work():
        interrupt.send()
        ended.append(True)

    with pytest.raises(BaseExceptionGroup) as caught, runtime.scope() as scope:
        scope.spawn(work)
    assert ended == [True]
    assert caught.group_contains(KeyboardInterrupt)
