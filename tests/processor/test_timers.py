"""Timers: in the order of time, cancelled, and not kept."""

import gc
import weakref

import pytest
import trio

from runtime._processor.timers import Timers


@pytest.fixture
async def timers(autojump_clock):
    timers = Timers()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(timers.run)
        yield timers
        timers.close()


async def test_actions_are_done_in_the_order_of_time(timers):
    done = []
    now = trio.current_time()
    for delay in (3, 1, 2):
        timers.at(now + delay, lambda delay=delay: done.append(delay))
    await trio.sleep(2.5)
    assert done == [1, 2]
    await trio.sleep(1)
    assert done == [1, 2, 3]


async def test_earlier_timer_wakes_the_one_who_waits_for_a_later(timers):
    done = []
    timers.at(trio.current_time() + 100, lambda: done.append("late"))
    await trio.sleep(1)
    timers.at(trio.current_time() + 1, lambda: done.append("early"))
    await trio.sleep(2)
    assert done == ["early"]


async def test_timers_outlast_the_scope_around_them(autojump_clock):
    timers, done = Timers(), []
    with trio.move_on_after(1):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(timers.run)
            timers.at(trio.current_time() + 2, lambda: done.append("late"))
            timers.at(trio.current_time() + 3, timers.close)
    assert done == ["late"]


async def test_cancelled_timer_does_nothing(timers):
    done = []
    timer = timers.at(trio.current_time() + 1, lambda: done.append(1))
    timer.cancel()
    timer.cancel()
    await trio.sleep(2)
    assert done == []
    assert len(timers) == 0


async def test_leak_cancelled_timers_are_dropped(timers):
    class Action:
        def __call__(self):
            pass

    actions = [Action() for _ in range(1000)]
    alive = weakref.WeakSet(actions)
    made = [timers.at(trio.current_time() + 1000, action) for action in actions]
    del actions
    for timer in made:
        timer.cancel()
    del made, timer
    gc.collect()
    assert len(timers) <= 64
    assert len(alive) == 0
