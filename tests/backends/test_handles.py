"""Handles of the public modules for interpreters cross: queues and interpreters."""

import jobs
import pytest

try:  # 3.14
    from concurrent import interpreters
except ImportError:  # the package interpreters-pep-734
    interpreters = pytest.importorskip("interpreters_backport.interpreters")

pytestmark = pytest.mark.usefixtures("interpreters")


async def test_a_queue_reaches_a_job_and_comes_back(pool):
    queue = interpreters.create_queue()
    await pool.spawn_cpu_work(jobs.put, queue, 5)
    assert queue.get(timeout=10) == 5
    queue.put("there")
    assert await pool.spawn_cpu_work(jobs.get, queue) == "there"
    assert (await pool.spawn_cpu_work(jobs.identity, queue)).id == queue.id


async def test_a_queue_joins_two_jobs(pool):
    """The one waits in its interpreter for what the other puts in from its own."""
    queue = interpreters.create_queue()
    waiting = await pool.submit(jobs.get, queue)
    await pool.spawn_cpu_work(jobs.put, queue, (1, "two", b"three"))
    assert await waiting.wait() == (1, "two", b"three")


async def test_an_interpreter_reaches_a_job(pool):
    interpreter = interpreters.create()
    try:
        assert await pool.spawn_cpu_work(jobs.id_of, interpreter) == interpreter.id
    finally:
        interpreter.close()
