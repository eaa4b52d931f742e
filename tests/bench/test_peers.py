"""Peers that need nothing but Trio give the same answers as plain Python."""

from contextlib import AsyncExitStack

import pytest
import trio

from bench.compare import bare_threads, serial, thread_pool, trio_inline, trio_thread
from bench.compare.peer import PeerModule, open_all
from bench.cut import best_cut
from bench.work import spin, tiny, tiny_range

MODULES = (bare_threads, serial, thread_pool, trio_inline, trio_thread)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.NAME)
@pytest.mark.parametrize("item_count", [0, 1, 7, 100])
def test_each_answers_in_the_order_of_the_items(
    module: PeerModule, item_count: int
) -> None:
    async def answers() -> list[int]:
        async with AsyncExitStack() as stack:
            peers = await open_all(stack, [module], 2)
            return await peers[module.NAME].each(tiny, range(item_count))

    assert trio.run(answers) == [tiny(item) for item in range(item_count)]


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.NAME)
def test_call_gives_the_answer_of_one_call(module: PeerModule) -> None:
    async def answer() -> int:
        async with AsyncExitStack() as stack:
            peers = await open_all(stack, [module], 2)
            return await peers[module.NAME].call(spin, 5)

    assert trio.run(answer) == spin(5)


def test_bare_threads_of_a_given_cut_answer_in_the_order_of_the_items() -> None:
    items = [9, 1, 5, 3, 8, 2]

    async def answers() -> list[int]:
        async with bare_threads.open_peer(2) as threads:
            return await threads.each_of_cut(spin, items, best_cut(items, 2))

    assert trio.run(answers) == [spin(item) for item in items]


def test_bare_threads_hand_on_an_error_instead_of_waiting_for_ever() -> None:
    async def answers() -> list[float]:
        async with bare_threads.open_peer(2) as threads:
            with pytest.raises(ZeroDivisionError):
                await threads.each(lambda item: 1 / item, [0, 1])
            return await threads.each(lambda item: 1 / item, [2, 1])

    assert trio.run(answers) == [0.5, 1.0]


def test_work_answers_tell_items_apart() -> None:
    assert len(set(tiny_range(range(1000)))) == 1000
    assert len({spin(loops) for loops in range(50)}) == 50
