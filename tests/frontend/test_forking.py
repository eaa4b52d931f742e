"""fork(): the parent's pool goes on, and the child can open its own.

In processes of their own, since Python warns of forking a process with threads.
"""

import os
import subprocess
import sys
import textwrap

import pytest

pytestmark = pytest.mark.threads_only("no child survives beside interpreters")

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
    result = subprocess.run(
        [sys.executable, "-P", "-X", "faulthandler", "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
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
