"""Where a job in an interpreter is.

What every backend promises of it is in tests/frontend/test_stuck.py.
"""

import logging

import jobs
import pytest
import trio
import trio.testing
from helpers import wait_until

import runtime
from runtime._backends import answers, stacks

pytestmark = pytest.mark.usefixtures("interpreters")

HOUR = 3600.0


def test_a_stack_is_told_from_a_question():
    stack = [("file.py", 1, "outer"), ("file.py", None, "inner")]
    assert stacks.decode_told(stacks.encode_stack(stack)) == (stacks.STACK, stack)
    assert stacks.decode_told(stacks.encode_refused("ab")) == (stacks.REFUSED, "ab")
    assert stacks.decode_told((b"question", b"its buffer")) is None


async def test_a_stack_that_comes_when_the_job_has_ended_is_dropped():
    async with runtime.open_worker_pool(1, backend="interpreters") as pool:
        await pool.spawn_cpu_work(jobs.keep_job)
        reply = await pool.spawn_cpu_work(jobs.show_late, [("file.py", 1, "name")])
    assert reply == (answers.NONE, ())


async def test_a_job_that_is_sought_while_it_is_decoded_shows_its_stack(
    mock_clock, make_gate, caplog
):
    """The worker rings the alarm again when the job runs (CROSS-11).

    1. the worker decodes a call, which waits; 2. the job is sought, and its worker's
    watch hears the alarm, looks at what runs, and finds nothing; 3. the call begins.
    """
    heard, decoding, loop = make_gate(), make_gate(), make_gate()
    caplog.set_level(logging.WARNING, "runtime")
    async with runtime.open_worker_pool(
        1, backend="interpreters", stuck_after=HOUR
    ) as pool:
        await pool.spawn_cpu_work(jobs.watch_the_watch, heard)
        job = await pool.submit(jobs.loop_until_open, loop, jobs.DecodedAt(decoding))
        with decoding, loop:
            await decoding.wait_entered()
            for _ in range(5):
                await trio.testing.wait_all_tasks_blocked()
                mock_clock.jump(HOUR / 4)
            await heard.wait_entered()
            decoding.open()
            await wait_until(lambda: caplog.records)
        await job.wait()
    (record,) = caplog.records
    assert "in loop_until_open" in record.getMessage()
