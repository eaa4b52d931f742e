"""``on_cancel="interrupt"`` inside an interpreter; what every backend promises is in
tests/frontend/test_interrupting.py."""

import jobs
import pytest
import trio

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
