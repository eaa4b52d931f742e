"""Async hooks before and after the handler."""

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import runtime


async def test_hooks_run_in_trio_around_the_handler(pool, make):
    async def prepare(request):
        await trio.lowlevel.checkpoint()
        return request + 1

    async def finish(response):
        await trio.lowlevel.checkpoint()
        return f"<{response}>"

    async with make(pool, prepare=prepare, finish=finish) as processor:
        outcomes = await processor.execute_parallel_batch(range(5))
        assert await processor.execute(9) == "<10>"
    assert [o.unwrap() for o in outcomes] == ["<1>", "<2>", "<3>", "<4>", "<5>"]


@pytest.mark.parametrize("hook", ["prepare", "finish"])
async def test_hook_that_raises_fails_its_request(pool, make, hook):
    async def refuse(value):
        if value == 1:
            raise OSError("hook")
        return value

    async with make(pool, **{hook: refuse}) as processor:
        good, bad = await processor.execute_parallel_batch([0, 1])
        statistics = processor.statistics()
    assert good.unwrap() == 0
    with pytest.raises(OSError, match="hook"):
        bad.unwrap()
    assert (statistics.processed, statistics.failed) == (1, 1)


async def test_failed_request_is_not_finished(pool, make):
    finished = []

    async def finish(response):
        finished.append(response)

    def fail():
        raise KeyError

    async with make(pool, finish=finish) as processor:
        with pytest.raises(KeyError):
            await processor.execute(fail)
    assert finished == []


async def test_cancelled_caller_cancels_its_hook(pool, make, autojump_clock):
    ended = []

    async def prepare(request):
        try:
            await trio.sleep_forever()
        finally:
            ended.append(request)

    async with make(pool, prepare=prepare) as processor:
        with trio.move_on_after(1) as scope:
            await processor.execute(1)
        assert scope.cancelled_caught
        assert processor.statistics().withdrawn == 1
        await wait_all_tasks_blocked()
        assert ended == [1]


async def test_processor_left_by_an_error_cancels_hooks(pool, make):
    async def prepare(_request):
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:

        async def call(processor):
            with pytest.raises(runtime.TaskCancelled):
                await processor.execute(1)

        with pytest.raises(ZeroDivisionError):
            async with make(pool, prepare=prepare) as processor:
                nursery.start_soon(call, processor)
                await wait_all_tasks_blocked()
                1 / 0  # noqa: B018  # the error is the point
