"""fork(): the parent's pool goes on, and the child can open its own.

In processes of their own, since Python warns of forking a process with threads.
"""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import entries
import pytest

# On threads: no child survives beside interpreters.
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")

PRELUDE = """
    import os, threading, warnings
    import trio
    import runtime
    from runtime import from_worker

    warnings.simplefilter("ignore", DeprecationWarning)  # fork with threads

    def fork_and_run(child):
        '''Run child() in a forked process; return its exit code.'''
        pid = os.fork()
        if pid == 0:
            try:
                child()
                os._exit(0)
            except BaseException:
                import traceback
                traceback.print_exc()
                os._exit(1)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    async def square_in_own_pool():
        async with runtime.open_worker_pool(2) as pool:
            assert await pool.spawn_cpu_work(pow, 7, 2) == 49
        assert await runtime.spawn_cpu_work(pow, 7, 2) == 49

    def refuses(pool):
        try:
            pool.submit_nowait(int)
        except runtime.BrokenWorkerError as error:
            assert "forked" in str(error), error
        else:
            raise AssertionError("it took the job")
"""


def run(story):
    """Run a story in a process of its own; return what it printed."""
    code = textwrap.dedent(PRELUDE) + textwrap.dedent(story)
    path = [str(Path(entries.__file__).parent), os.environ.get("PYTHONPATH", "")]
    result = subprocess.run(
        [sys.executable, "-P", "-X", "faulthandler", "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, path))},
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.split()


def test_fork_in_the_trio_thread():
    story = """
        async def main():
            async with runtime.open_worker_pool(2) as pool:

                def child():
                    refuses(pool)
                    run = lambda: trio.run(square_in_own_pool)
                    thread = threading.Thread(target=run)
                    thread.start()
                    thread.join()
                    print("child", flush=True)

                assert fork_and_run(child) == 0
                assert await pool.spawn_cpu_work(int, "7") == 7
                print("parent")

        trio.run(main)
    """
    assert run(story) == ["child", "parent"]


def test_fork_inside_a_job():
    story = """
        async def main():
            async with runtime.open_worker_pool(1) as pool:

                def child():
                    refuses(pool)
                    try:
                        runtime.check_cancelled()
                    except runtime.NotOnWorkerError:
                        trio.run(square_in_own_pool)
                        print("child", flush=True)

                assert await pool.spawn_cpu_work(fork_and_run, child) == 0
                assert await pool.spawn_cpu_work(int, "7") == 7
                print("parent")

        trio.run(main)
    """
    assert run(story) == ["child", "parent"]


def test_fork_inside_a_job_that_waits():
    story = """
        async def main():
            async with runtime.open_worker_pool(1) as pool:

                def work():
                    with runtime.blocking():
                        pid = os.fork()
                    if pid == 0:
                        print("child", flush=True)
                        os._exit(0)
                    os.waitpid(pid, 0)

                await pool.spawn_cpu_work(work)
                print("parent")

        trio.run(main)
    """
    assert run(story) == ["child", "parent"]


def test_job_that_returns_in_the_child_runs_no_queued_job_there():
    story = """
        async def main():
            async with runtime.open_worker_pool(1) as pool:
                pids = []

                def fork():
                    for _ in range(3):
                        pool.submit_nowait(show)
                    pids.append(os.fork())

                def show():
                    print("shown", flush=True)

                await pool.spawn_cpu_work(fork)
                os.waitpid(pids[0], 0)

        trio.run(main)
    """
    assert run(story) == ["shown"] * 3


def test_block_left_in_the_child_does_not_hang():
    # The child uses no lock that a thread may have held, and the parent no Trio before
    # the child has gone: both wait on one epoll, and what one takes the other misses.
    story = """
        async def main():
            try:
                async with runtime.open_worker_pool(1) as pool:
                    entered, leave = threading.Event(), threading.Event()

                    def hold():
                        entered.set()
                        leave.wait()

                    job = pool.submit_nowait(hold)
                    entered.wait()
                    pid = os.fork()
                    if pid != 0:
                        os.waitpid(pid, 0)
                        leave.set()
            except runtime.BrokenWorkerError as error:
                assert pid == 0, error
                print("child", flush=True)
                os._exit(0)
            print("parent")

        trio.run(main)
    """
    assert run(story) == ["child", "parent"]


ENTRIES = """
    import entries

    EVERYTHING = {**entries.ASYNC, **{f"{k}()": v for k, v in entries.SYNC.items()}}
    entered, leave = threading.Event(), threading.Event()

    def hold():
        entered.set()
        leave.wait()

    def report(raised):
        for name, error in raised.items():
            if type(error) is not runtime.BrokenWorkerError:
                print(f"{name}:{error!r}".replace(" ", "_"), flush=True)
        print("refused", flush=True)
"""


def test_every_entry_refuses_in_the_child():
    """In the Trio thread, where the run goes on, and in another one."""
    story = """
        async def main():
            async with runtime.open_worker_pool(1) as pool:
                async with entries.kept(pool, hold) as kept:
                    entered.wait()
                    without_trio = entries.call_without_trio(kept)
                    in_trio = entries.call_in_trio(kept)

                    def child():
                        report(entries.outcomes(EVERYTHING, without_trio))
                        for name in "map", "process":
                            del EVERYTHING[f"{name}, made before"]  # entered now
                        thread = threading.Thread(
                            target=lambda: report(entries.outcomes(EVERYTHING, in_trio))
                        )
                        thread.start()
                        thread.join()
                        assert kept.pool.statistics().worker_count == 1

                    assert fork_and_run(child) == 0
                    leave.set()
                await pool.spawn_cpu_work(int)
            print("parent")

        trio.run(main)
    """
    assert run(textwrap.dedent(ENTRIES) + textwrap.dedent(story)) == [
        "refused",
        "refused",
        "parent",
    ]


def test_every_entry_refuses_in_a_child_that_another_thread_made():
    story = """
        async def main():
            async with runtime.open_worker_pool(1) as pool:
                async with entries.kept(pool, hold) as kept:
                    entered.wait()
                    call = entries.call_in_trio(kept)
                    child = lambda: report(entries.outcomes(EVERYTHING, call))
                    assert await trio.to_thread.run_sync(fork_and_run, child) == 0
                    leave.set()
                await pool.spawn_cpu_work(int)
            print("parent")

        trio.run(main)
    """
    assert run(textwrap.dedent(ENTRIES) + textwrap.dedent(story)) == [
        "refused",
        "parent",
    ]


def test_every_block_is_left_in_the_child_and_who_waits_is_told():
    story = """
        async def wait_for(called):
            try:
                await called
            except runtime.BrokenWorkerError:
                if os.getpid() != parent:
                    print("told", flush=True)

        parent = os.getpid()

        async def main():
            try:
                async with runtime.open_worker_pool(1) as pool:
                    async with (
                        runtime.ParallelProcessor(abs, pool=pool) as processor,
                        pool.map(abs, range(100)) as results,
                        processor.process(range(100)) as responses,
                        trio.open_nursery() as nursery,
                    ):
                        nursery.start_soon(wait_for, pool.spawn_cpu_work(hold))
                        job = pool.submit_nowait(hold)
                        batch = pool.spawn_parallel_batch(range(9), abs)
                        nursery.start_soon(wait_for, batch)
                        nursery.start_soon(wait_for, job.wait())
                        nursery.start_soon(wait_for, processor.execute(1))
                        await trio.testing.wait_all_tasks_blocked()
                        entered.wait()
                        pid = os.fork()
                        if pid != 0:
                            os.waitpid(pid, 0)
                            leave.set()
            except* runtime.BrokenWorkerError:
                assert pid == 0
                print("left", flush=True)
                os._exit(0)
            print("parent")

        import trio.testing
        trio.run(main)
    """
    assert run(textwrap.dedent(ENTRIES) + textwrap.dedent(story)) == [
        *["told"] * 4,
        "left",
        "parent",
    ]


def test_default_pool_refuses_in_the_child():
    story = """
        async def main():
            assert await runtime.spawn_cpu_work(int, "7") == 7
            pid = os.fork()
            if pid == 0:
                try:
                    await runtime.spawn_cpu_work(int)
                except runtime.BrokenWorkerError:
                    print("refused", flush=True)
                os._exit(0)
            os.waitpid(pid, 0)
            assert await runtime.spawn_cpu_work(int, "7") == 7
            print("parent")

        trio.run(main)
    """
    assert run(story) == ["refused", "parent"]
