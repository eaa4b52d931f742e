import pytest
import trio
import trio.testing

import runtime
from runtime._frontend.bound import Bound


def open_for_ever():
    pass


async def wait_and_note(bound, order, number):
    await bound.wait_taken()
    order.append(number)


def test_bound_gives_its_places_and_no_more():
    bound = Bound(2, open_for_ever)
    assert [bound.try_take() for _ in range(3)] == [True, True, False]
    bound.give_back()
    assert bound.try_take()
    assert not bound.try_take()


async def test_bound_hands_places_over_in_the_order_of_asking():
    bound = Bound(1, open_for_ever)
    assert bound.try_take()
    order = []
    async with trio.open_nursery() as nursery:
        for number in range(3):
            nursery.start_soon(wait_and_note, bound, order, number)
            await trio.testing.wait_all_tasks_blocked()
        for number in range(3):
            bound.give_back()
            assert not bound.try_take()  # nobody overtakes who waits
            await trio.testing.wait_all_tasks_blocked()
            assert order == list(range(number + 1))


async def test_bound_cancelled_while_waiting_gives_nothing_up():
    bound = Bound(1, open_for_ever)
    assert bound.try_take()
    order = []
    async with trio.open_nursery() as nursery:
        with trio.CancelScope() as scope:
            scope.cancel()
            await bound.wait_taken()
        assert scope.cancelled_caught
        nursery.start_soon(wait_and_note, bound, order, "next")
        await trio.testing.wait_all_tasks_blocked()
        bound.give_back()
    assert order == ["next"]
    bound.give_back()
    assert bound.try_take()


async def test_bound_closed_while_waiting_refuses_and_passes_the_place_on():
    is_open = True

    def check_open():
        if not is_open:
            raise runtime.PoolClosedError("mine")

    bound = Bound(1, check_open)
    assert bound.try_take()
    refused = []

    async def ask():
        with pytest.raises(runtime.PoolClosedError):
            await bound.wait_taken()
        refused.append(True)

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(ask)
        await trio.testing.wait_all_tasks_blocked()
        is_open = False
        bound.give_back()  # one place tells them all, one after the other
    assert refused == [True] * 3


async def test_overdrawn_place_is_given_back_before_a_waiter_gets_one():
    overdraws = False
    bound = Bound(1, lambda: None, may_overdraw=lambda: overdraws)
    assert bound.try_take()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bound.wait_taken)
        await trio.testing.wait_all_tasks_blocked()
        overdraws = True
        await bound.wait_taken()
        bound.give_back()
        await trio.testing.wait_all_tasks_blocked()
        assert len(nursery.child_tasks) == 1
        bound.give_back()
    assert not bound.try_take()
