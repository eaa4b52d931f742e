import contextvars

import pytest
import trio
import trio.testing

variable = contextvars.ContextVar("variable", default="unset")


async def test_lane_runs_at_most_worker_count_tasks_at_a_time(open_pool):
    running = most = 0
    opened = trio.Event()

    async def task():
        nonlocal running, most
        running += 1
        most = max(most, running)
        await opened.wait()
        running -= 1

    async with open_pool(2) as pool:
        for _ in range(6):
            await pool.spawn(task)
        await trio.testing.wait_all_tasks_blocked()
        assert running == 2
        opened.set()
    assert (running, most) == (0, 2)


async def test_lane_at_capacity_waits_or_would_block(open_pool):
    opened = trio.Event()
    async with open_pool(1, queue_capacity=2) as pool:
        for _ in range(3):
            pool.spawn_nowait(opened.wait)
        with pytest.raises(trio.WouldBlock):
            pool.spawn_nowait(opened.wait)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pool.spawn, opened.wait)
            await trio.testing.wait_all_tasks_blocked()
            assert len(nursery.child_tasks) == 1
            opened.set()


async def test_lane_spawn_is_a_checkpoint(pool):
    with trio.testing.assert_checkpoints():
        await pool.spawn(trio.sleep, 0)


async def test_lane_task_keeps_the_spawners_context(open_pool):
    seen = []

    async def look():
        seen.append(variable.get())

    async with open_pool(1) as pool:
        variable.set("mine")
        await pool.spawn(look)
        variable.set("too late")
    assert seen == ["mine"]


async def test_lane_error_cancels_the_block_and_leaves_in_a_group(open_pool):
    async def fail():
        raise ValueError("from the task")

    with pytest.raises(ExceptionGroup) as info:
        async with open_pool(1) as pool:
            await pool.spawn(fail)
            await trio.sleep_forever()
    assert [str(error) for error in info.value.exceptions] == ["from the task"]


async def test_lane_is_drained_when_the_block_ends(open_pool):
    ended = []

    async def task(number):
        await trio.lowlevel.checkpoint()
        ended.append(number)

    async with open_pool(1) as pool:
        for number in range(5):
            await pool.spawn(task, number)
    assert ended == [0, 1, 2, 3, 4]


async def test_lane_task_may_use_the_pool_while_it_drains(open_pool):
    results = []
    leaving = trio.Event()

    async def task():
        await leaving.wait()
        await trio.testing.wait_all_tasks_blocked()
        results.append(await pool.spawn_cpu_work(pow, 2, 5))
        results.append(await pool.spawn_parallel_batch([1, 2], abs))
        async with pool.map(abs, [-3]) as mapped:
            results.extend([result async for result in mapped])
        await pool.spawn(last)

    async def last():
        results.append("last")

    async with open_pool(1) as pool:
        await pool.spawn(task)
        leaving.set()
    assert results == [32, [1, 2], 3, "last"]


async def test_lane_block_cancelled_cancels_its_tasks(open_pool):
    cancelled = []

    async def task(number):
        try:
            await trio.sleep_forever()
        finally:
            cancelled.append(number)

    with trio.CancelScope() as scope:
        async with open_pool(1) as pool:
            await pool.spawn(task, "running")
            await pool.spawn(task, "never begins")
            await trio.testing.wait_all_tasks_blocked()
            scope.cancel()
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert cancelled == ["running"]


@pytest.mark.parametrize("way", ["spawn", "spawn_nowait"])
async def test_misuse_spawn_of_no_function_is_refused_and_the_pool_goes_on(pool, way):
    async def task():
        pass

    for wrong, message in [(3, "not 3"), (task(), r"spawn\w*\(async_fn, \*args\)")]:
        with pytest.raises(TypeError, match=f"{way} needs an async .*{message}"):
            waited = getattr(pool, way)(wrong)
            await waited
    assert await pool.spawn_cpu_work(int, "1") == 1


async def test_misuse_spawn_of_a_sync_function_says_what_to_write(open_pool):
    with pytest.raises(ExceptionGroup) as info:
        async with open_pool(1) as pool:
            await pool.spawn(int, "7")
    (error,) = info.value.exceptions
    assert isinstance(error, TypeError)
    assert "int returned 7" in str(error)
    assert "await pool.spawn_cpu_work(int, ...)" in str(error)
