"""``on_cancel="interrupt"`` inside an interpreter.

What every backend promises of it is in tests/frontend/test_interrupting.py.
"""

import jobs
import pytest
import trio
from gates import TIMEOUT

import runtime

pytestmark = pytest.mark.usefixtures("interpreters")


async def test_what_runs_after_the_call_is_not_interrupted(calls):
    """Between threads the result is its receiver's, and nothing runs there."""
    async with runtime.open_worker_pool(1, backend="interpreters") as pool:
        for _ in range(20):
            job = await pool.submit(jobs.finish, calls, on_cancel="interrupt")
            await trio.lowlevel.checkpoint()
            job.cancel()
            try:
                assert await job.wait() == 7
            except runtime.TaskCancelled:
                pass
        assert await pool.spawn_cpu_work(jobs.add, 1, 1) == 2
    assert set(calls) <= {"ended"}


async def test_an_alarm_that_comes_while_the_call_is_decoded_is_not_lost(make_gate):
    """The worker rings it again when the job runs (CROSS-11).

    1. the worker decodes a call, which waits; 2. the job is cancelled, and its worker's
    watch hears the alarm, looks at what runs, and finds nothing; 3. the call begins.
    """
    heard, decoding, loop = make_gate(), make_gate(), make_gate()
    async with runtime.open_worker_pool(1, backend="interpreters") as pool:
        watching = await pool.submit(jobs.watch_the_watch, heard, on_cancel="interrupt")
        await watching.wait()
        job = await pool.submit(
            jobs.loop_until_open,
            loop,
            jobs.DecodedAt(decoding),
            on_cancel="interrupt",
        )
        await decoding.wait_entered()
        job.cancel()
        await heard.wait_entered()
        decoding.open()
        try:
            with trio.fail_after(TIMEOUT / 3), pytest.raises(runtime.TaskCancelled):
                await job.wait()
        finally:
            loop.open()
