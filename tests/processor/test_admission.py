"""The bound: weights, order, turns, and cancelled waits."""

import trio
from trio.testing import wait_all_tasks_blocked

from runtime._processor.admission import Admission


async def test_places_are_taken_by_weight():
    admission = Admission(10)
    assert admission.try_take(7)
    assert not admission.try_take(4)
    assert admission.try_take(3)
    assert admission.free == 0


async def take_and_note(admission, cost, share, note, order):
    if not admission.try_take(cost):
        await admission.wait_taken(cost, share)
    order.append(note)


async def test_waiting_producers_take_turns():
    admission, order = Admission(1), []
    assert admission.try_take(1)
    async with trio.open_nursery() as nursery:
        for note in ("a1", "a2", "a3", "b1"):
            nursery.start_soon(take_and_note, admission, 1, note[0], note, order)
            await wait_all_tasks_blocked()
        for _ in range(4):
            admission.give_back(1)
            await wait_all_tasks_blocked()
    assert order == ["a1", "b1", "a2", "a3"]


async def test_nobody_overtakes_a_dear_request():
    admission, order = Admission(4), []
    assert admission.try_take(4)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(take_and_note, admission, 4, "a", "dear", order)
        await wait_all_tasks_blocked()
        nursery.start_soon(take_and_note, admission, 1, "b", "cheap", order)
        await wait_all_tasks_blocked()
        admission.give_back(3)
        await wait_all_tasks_blocked()
        assert order == []
        assert not admission.try_take(1)
        assert admission.try_take(1, overtakes=True)
        admission.give_back(1)
        admission.give_back(1)
        await wait_all_tasks_blocked()
        assert order == ["dear"]
        admission.give_back(4)
    assert order == ["dear", "cheap"]


async def test_cancelled_wait_lets_those_behind_it_in():
    admission, order = Admission(4), []
    assert admission.try_take(2)
    scope = trio.CancelScope()

    async def dear():
        with scope:
            await admission.wait_taken(4, "a")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(dear)
        await wait_all_tasks_blocked()
        nursery.start_soon(take_and_note, admission, 2, "b", "cheap", order)
        await wait_all_tasks_blocked()
        assert order == []
        scope.cancel()
    assert order == ["cheap"]
    assert admission.free == 0
