"""fork() beside a sync pool, and inside what runs on one: the child is refused.

In processes of their own, since Python warns of forking a process with threads. A child
that waits is ended by a signal, which fails the test.
"""

import os
import subprocess
import sys
import textwrap

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")

PRELUDE = """
    import os, signal, sys, threading, warnings
    import runtime

    warnings.simplefilter("ignore", DeprecationWarning)  # fork with threads

    def end(status):
        sys.stdout.flush()
        os._exit(status)

    def fork():
        '''Return True in the child, for some seconds; the parent waits for it.'''
        pid = os.fork()
        if pid == 0:
            signal.alarm(20)
            return True
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        assert status == 0, status
        return False

    def refused(fn, *args):
        try:
            answer = fn(*args)
        except runtime.BrokenWorkerError as error:
            assert "forked" in str(error), error
        else:
            raise AssertionError(answer)

    def spawn():
        with runtime.scope() as scope:
            scope.spawn(int)

    def in_child(fn, *args):
        if fork():
            try:
                fn(*args)
            except BaseException:
                import traceback
                traceback.print_exc()
                end(1)
            end(0)
"""

STORIES = {
    "entry points": """
        with runtime.open_sync_pool(2) as pool:
            pool.run(int)
            for fn in (
                lambda: pool.run(int),
                lambda: runtime.par_iter(range(100)).sum(),
                lambda: runtime.par_iter(iter(range(100))).count(),
                lambda: runtime.join(int, int),
                lambda: runtime.broadcast(int),
                spawn,
            ):
                in_child(refused, fn)
            assert runtime.par_iter(range(100)).sum() == 4950
    """,
    "another thread's": """
        with runtime.open_sync_pool(2) as pool:
            thread = threading.Thread(target=in_child, args=(refused, pool.run, int))
            thread.start()
            thread.join()
    """,
    "a pool of its own": """
        def own():
            with runtime.open_sync_pool(2) as mine:
                assert mine.run(int, "7") == 7
                assert runtime.par_iter(range(100)).sum() == 4950
                assert runtime.broadcast(int) == [0, 0]

        with runtime.open_sync_pool(2):
            runtime.broadcast(int)
            in_child(own)
    """,
    "leaving the block": """
        with runtime.open_sync_pool(2):
            is_child = fork()
        if is_child:
            end(0)
    """,
    "leaving a scope": """
        def leave(scope):
            refused(scope.spawn, int)
            refused(scope.__exit__, None, None, None)

        with runtime.open_sync_pool(1), runtime.scope() as scope:
            hold = threading.Event()
            scope.spawn(hold.wait)
            in_child(leave, scope)
            hold.set()
    """,
    "a call that forks": """
        def forks():
            if fork():
                refused(pool.run, int)
                end(0)

        with runtime.open_sync_pool(2) as pool:
            pool.run(forks)
    """,
    "a broadcast that forks": """
        def forks():
            if fork():
                is_child.append(True)

        def job():
            try:
                runtime.broadcast(forks)
            except runtime.BrokenWorkerError:
                end(0 if is_child else 1)

        is_child = []
        with runtime.open_sync_pool(2) as pool:
            pool.run(job)
    """,
    "a join that forks": """
        def first():
            assert stolen.wait(20)
            if fork():
                is_child.append(True)
            forked.set()

        def second():
            stolen.set()
            forked.wait()

        def job():
            try:
                runtime.join(first, second)
            except runtime.BrokenWorkerError:
                end(0 if is_child else 1)

        is_child = []
        stolen, forked = threading.Event(), threading.Event()
        with runtime.open_sync_pool(2) as pool:
            pool.run(job)
    """,
    "a scope whose job forks": """
        def job():
            with runtime.scope() as scope:
                scope.spawn(held.wait)
                scope.spawn(int)
                while len(scope._unfinished) != 1:
                    os.sched_yield()
                is_child = fork()
                held.set()
            assert not is_child

        def run():
            try:
                job()
            except runtime.BrokenWorkerError:
                end(0)

        held = threading.Event()
        with runtime.open_sync_pool(3) as pool:
            pool.run(run)
    """,
}


@pytest.mark.parametrize("name", STORIES)
def test_forked_child_is_refused_and_the_parent_goes_on(name):
    code = textwrap.dedent(PRELUDE) + textwrap.dedent(STORIES[name])
    result = subprocess.run(
        [sys.executable, "-P", "-X", "faulthandler", "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
