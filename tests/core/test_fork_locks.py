"""fork() while other threads hold whatever locks there are.

In processes of their own, since Python warns of forking a process with threads.
"""

import os
import subprocess
import sys
import textwrap

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")

PRELUDE = """
    import contextvars, os, signal, sys, threading, warnings
    from runtime._core import CountLatch, Job, Latch, Registry, current_worker

    warnings.simplefilter("ignore", DeprecationWarning)  # fork with threads

    def make(fn=int):
        return Job(fn, (), contextvars.Context())

    def fork_and_run(child, fork=os.fork):
        # Run child() in a forked process; return its exit code.
        pid = fork()
        if pid == 0:
            signal.alarm(20)
            try:
                child()
                os._exit(0)
            except BaseException:
                import traceback
                traceback.print_exc()
                os._exit(1)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def locked_by_another_thread(hold):
        # Have another thread be inside hold(fn); return what lets it go.
        inside, leave = threading.Event(), threading.Event()

        def wait():
            inside.set()
            leave.wait()

        thread = threading.Thread(target=hold, args=(wait,))
        thread.start()
        inside.wait()
        return leave.set
"""


def run(story):
    """Run a story in a process of its own; it must print "done"."""
    code = textwrap.dedent(PRELUDE) + textwrap.dedent(story)
    result = subprocess.run(
        [sys.executable, "-P", "-X", "faulthandler", "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == ["done"]


def test_every_lock_of_a_registry_is_made_anew():
    run("""
        registry = Registry(2)
        registry.start()
        jobs = [make() for _ in range(10)]
        # Not started: no worker takes what it has, nor waits with the GIL for a lock.
        idle = Registry(1)
        idle.inject_many(jobs)

        def use(registry):
            registry.after_fork()
            for job in jobs:
                idle.withdraw(job)  # compacts
            registry.inject(make())
            registry.withdraw(make())
            registry.statistics(), registry.running_jobs(), registry.num_waiting()
            registry.is_anyone_idle(), registry.is_everyone_asleep(), registry._threads
            registry.stop()
            registry.join()

        def child():
            use(idle)
            use(registry)

        if hasattr(idle, "_call_locked"):
            # The locks are held by a thread that the child does not have.
            let_go = locked_by_another_thread(idle._call_locked)
            assert fork_and_run(child) == 0
            let_go()
        else:
            assert fork_and_run(child) == 0
        registry.stop()
        registry.join()
        print("done")
    """)


def test_job_that_goes_on_in_the_child_can_wait_and_push():
    run("""
        registry = Registry(2)
        registry.start()
        out = Latch()

        def child():
            me = current_worker()
            registry.after_fork()
            me.begin_wait()
            me.end_wait()
            me.push(make())
            assert current_worker() is None

        codes = []

        def work():
            codes.append(fork_and_run(child))

        registry.inject(Job(work, (), contextvars.Context(), sink=out.set))
        assert out.wait(50)
        assert codes == [0]
        registry.stop()
        registry.join()
        print("done")
    """)


def test_latches_of_a_fork_are_not_waited_for():
    run("""
        latch, count = Latch(), CountLatch()
        count.increment()
        latch.set()
        if hasattr(latch, "_gate"):
            latch._gate.acquire()  # a waiter was just passing through

        def child():
            assert latch.wait()
            assert not count.decrement()
            assert count.decrement()

        assert fork_and_run(child) == 0
        print("done")
    """)


@pytest.mark.skipif(
    os.environ.get("RUNTIME_CORE") == "python", reason="the queues are native"
)
def test_every_lock_of_shared_queues_is_made_anew():
    run("""
        try:
            from runtime._native.scheduler import SharedQueues
        except ImportError:
            print("done")
            sys.exit()
        queues = SharedQueues(2)
        jobs = [queues.inject(i + 1, (b"x",), (), 0, 1, 1) for i in range(4)]

        def child():
            queues.after_fork()
            for job in jobs:
                queues.withdraw(job)
            queues.num_waiting(), queues.detached(), queues.running(), len(queues)
            queues.stop()
            SharedQueues(1).stop()

        leave = locked_by_another_thread(queues._call_locked)
        assert fork_and_run(child) == 0
        leave()
        print("done")
    """)


def test_setting_up_interpreters_is_possible_in_the_child():
    run("""
        try:
            from runtime._backends import crossinterp
        except ImportError:
            print("done")
            sys.exit()

        def child():
            assert crossinterp.SETUP_LOCK.acquire(timeout=10)

        def hold(fn):
            with crossinterp.SETUP_LOCK:
                fn()

        leave = locked_by_another_thread(hold)
        assert fork_and_run(child) == 0
        leave()
        print("done")
    """)
