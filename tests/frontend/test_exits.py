"""Every way out of a pool's block, each in a process of its own.

The process says whether it has left a thread or a descriptor behind, and how it ended.
"""

import signal
import subprocess
import sys
import textwrap

import pytest
from helpers import TIMEOUT, check_permitted, environ_with_coverage

pytestmark = pytest.mark.slow

BEGIN = """
import os, signal, sys, threading, time
import trio, trio.testing
import runtime

def descriptors():
    return len(os.listdir("/proc/self/fd"))

descriptors_before = descriptors()

def say_what_is_left():
    names = [t.name for t in threading.enumerate() if t.name.startswith("runtime")]
    print("left:", names, descriptors() - descriptors_before, flush=True)

def loop_until_cancelled():
    while True:
        runtime.check_cancelled()

def interrupt_and_loop():
    # Returns when the main task waits, too.
    runtime.from_worker.run(trio.testing.wait_all_tasks_blocked)
    signal.raise_signal(signal.SIGINT)
    loop_until_cancelled()
"""

NOTHING_LEFT = "left: [] 0"


def run_python(script, environ=None):
    """Run a script; return what it said, its last words, and its exit status."""
    done = subprocess.run(
        [
            sys.executable,
            "-P",
            "-X",
            "faulthandler",
            "-c",
            BEGIN + textwrap.dedent(script),
        ],
        capture_output=True,
        text=True,
        timeout=2 * TIMEOUT,
        env=environ,
    )
    return done.stdout.splitlines(), done.stderr, done.returncode


def run_main(body, end="raise"):
    """Run a script with an async main and a look at what it left behind."""
    return run_python(
        "async def main():\n"
        + textwrap.indent(textwrap.dedent(body), "    ")
        + textwrap.dedent(f"""
        try:
            trio.run(main)
        except BaseException as error:
            print(type(error).__name__, flush=True)
            {end}
        finally:
            say_what_is_left()
        """),
        environ_with_coverage(),
    )


def test_exit_by_ctrl_c_in_the_body_cancels_and_waits():
    said, _, status = run_main("""
        async with runtime.open_worker_pool(2) as pool:
            pool.submit_nowait(loop_until_cancelled)
            while not pool.statistics().running:
                await trio.lowlevel.checkpoint()
            signal.raise_signal(signal.SIGINT)
            await trio.sleep_forever()
    """)
    assert said == ["KeyboardInterrupt", NOTHING_LEFT]
    assert status == -signal.SIGINT


def test_exit_by_ctrl_c_while_the_block_drains_cancels_and_waits():
    said, _, status = run_main("""
        async with runtime.open_worker_pool(2) as pool:
            pool.submit_nowait(interrupt_and_loop)
    """)
    assert said == ["KeyboardInterrupt", NOTHING_LEFT]
    assert status == -signal.SIGINT


def test_exit_by_ctrl_c_twice_still_waits_for_the_job():
    said, _, status = run_main("""
        trio_handler = signal.getsignal(signal.SIGINT)
        seen = []

        def count_and_handle(number, frame):
            seen.append(number)
            trio_handler(number, frame)

        def job():
            try:
                interrupt_and_loop()
            except runtime.JobCancelled:
                signal.raise_signal(signal.SIGINT)
                while len(seen) < 2:
                    pass
                # Trio handles calls in their order, so it has told the main task.
                trio.from_thread.run_sync(print, "twice", trio_token=token)
                print("block was left:", has_left.wait(0.3))

        signal.signal(signal.SIGINT, count_and_handle)
        token = trio.lowlevel.current_trio_token()
        has_left = threading.Event()
        try:
            async with runtime.open_worker_pool(2) as pool:
                pool.submit_nowait(job)
        finally:
            has_left.set()
    """)
    twice, left, *rest = said
    assert (twice, left) == ("twice", "block was left: False")
    assert rest == ["KeyboardInterrupt", NOTHING_LEFT]
    assert status == -signal.SIGINT


@pytest.mark.parametrize("pool", ["pool", "runtime"])
@pytest.mark.parametrize("in_a_child_task", [False, True])
def test_exit_by_ctrl_c_twice_says_what_is_waited_for(pool, in_a_child_task):
    """With no logging configured, on standard error."""
    call = f"{pool}.spawn_cpu_work"
    said, _, _ = run_main(f"""
        def stubborn():
            try:
                interrupt_and_loop()
            except runtime.JobCancelled:
                signal.raise_signal(signal.SIGINT)
                while not is_said.is_set():
                    pass
                return

        class Errors:
            def write(self, text):
                written.append(text)
                if "kill -9" in "".join(written):
                    is_said.set()
            def flush(self):
                pass

        is_said, written = threading.Event(), []
        real_errors, sys.stderr = sys.stderr, Errors()
        try:
            async with runtime.open_worker_pool(2) as pool:
                if {in_a_child_task}:
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon({call}, stubborn)
                else:
                    await {call}(stubborn)
        finally:
            sys.stderr = real_errors
            print("".join(written).split(" (")[0])
    """)
    name = "default" if pool == "runtime" else "pool-1"
    assert said[0].startswith(f"pool '{name}' waits for ")
    assert said[0].endswith("stubborn")
    # The first one in the nursery's group, or the second by itself.
    check_permitted(said[1], {"KeyboardInterrupt", "BaseExceptionGroup"})
    assert said[2:] == [NOTHING_LEFT]


def test_exit_by_ctrl_c_in_a_call_cancels_its_job():
    said, _, status = run_main("""
        await runtime.spawn_cpu_work(interrupt_and_loop)
    """)
    assert said == ["KeyboardInterrupt", NOTHING_LEFT]
    assert status == -signal.SIGINT


@pytest.mark.parametrize(
    "leave",
    ["sys.exit(3)", "await pool.spawn_cpu_work(sys.exit, 3)"],
    ids=["in the block", "in a job"],
)
def test_exit_by_sys_exit_cancels_waits_and_keeps_the_status(leave):
    said, _, status = run_main(f"""
        async with runtime.open_worker_pool(2) as pool:
            pool.submit_nowait(loop_until_cancelled)
            {leave}
    """)
    assert said == ["SystemExit", NOTHING_LEFT]
    assert status == 3


def test_exit_by_the_end_of_the_run_closes_the_default_pool():
    said, _, status = run_main("""
        with trio.move_on_after(0.001):
            await runtime.spawn_cpu_work(loop_until_cancelled, on_cancel="abandon")
        raise KeyError
    """)
    assert said == ["KeyError", NOTHING_LEFT]
    assert status == 1


def test_exit_by_a_body_that_is_never_resumed_closes_the_pool():
    """An async generator holds the block, and nobody closes the generator."""
    said, _, _ = run_main("""
        async def hold():
            async with runtime.open_worker_pool(2) as pool:
                yield await pool.spawn_cpu_work(abs, -1)

        async for number in hold():
            print(number)
            break
    """)
    assert said[0] == "1"
    assert said[-1] == NOTHING_LEFT


STUCK = {
    "in a loop": "while True: pass",
    "asleep": "time.sleep(1000)",
    "at a lock": "lock = threading.Lock(); lock.acquire(); lock.acquire()",
}


@pytest.mark.parametrize("work", STUCK.values(), ids=STUCK)
def test_exit_of_the_process_does_not_wait_for_a_job_left_behind(work):
    said, errors, status = run_python(f"""
        import logging

        def stuck():
            started.set()
            {work}

        async def main():
            async with runtime.open_worker_pool(2) as pool:
                pool.submit_nowait(stuck)
                await trio.to_thread.run_sync(started.wait)
                report = await pool.shutdown(0)
                print([straggler.name for straggler in report.still_running])

        started = threading.Event()
        trio.run(main)
        print("end", flush=True)
    """)
    assert said == ["['stuck']", "end"]
    assert "pool 'pool-1' leaves a job behind: stuck (<string>:" in errors
    assert status == 0


@pytest.mark.parametrize("work", ["abs, 1", "loop_until_cancelled"])
def test_exit_of_the_process_with_a_run_in_a_daemon_thread(work):
    """The pool is neither left nor finished when the interpreter ends."""
    said, _, status = run_python(f"""
        async def main():
            async with runtime.open_worker_pool(2) as pool:
                pool.submit_nowait({work})
                while not pool.statistics().jobs_completed + pool.statistics().running:
                    await trio.lowlevel.checkpoint()
                is_open.set()
                await trio.sleep_forever()

        is_open = threading.Event()
        threading.Thread(target=trio.run, args=(main,), daemon=True).start()
        assert is_open.wait(20)
        print("end", flush=True)
    """)
    assert said == ["end"]
    assert status == 0
