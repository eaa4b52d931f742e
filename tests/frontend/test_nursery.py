import signal

import pytest
import trio
import trio.testing

from runtime._frontend.nursery import open_nursery


async def fail(error):
    raise error


async def test_nursery_body_error_leaves_as_it_is():
    error = KeyError("the body's")
    with pytest.raises(KeyError) as info:
        async with open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            raise error
    assert info.value is error
    assert error.__context__ is None


async def test_nursery_body_error_that_is_a_group_leaves_as_it_is():
    error = ExceptionGroup("the body's", [KeyError()])
    with pytest.raises(ExceptionGroup) as info:
        async with open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            await trio.testing.wait_all_tasks_blocked()
            raise error
    assert info.value is error


async def test_nursery_childs_error_cancels_the_body_and_leaves_in_a_group():
    with pytest.raises(ExceptionGroup) as info:
        async with open_nursery() as nursery:
            nursery.start_soon(fail, KeyError("a child's"))
            await trio.sleep_forever()
    assert [type(error) for error in info.value.exceptions] == [KeyError]


async def test_nursery_body_and_childs_errors_leave_in_one_group():
    async def fail_when_cancelled():
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError

    with pytest.raises(ExceptionGroup) as info:
        async with open_nursery() as nursery:
            nursery.start_soon(fail_when_cancelled)
            await trio.testing.wait_all_tasks_blocked()
            raise KeyError
    assert [type(error) for error in info.value.exceptions] == [KeyError, ValueError]


async def test_nursery_cancelled_from_outside_leaves_cancelled():
    with trio.CancelScope() as scope:
        async with open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            scope.cancel()
            await trio.sleep_forever()
    assert scope.cancelled_caught


async def test_nursery_waits_for_its_children():
    ended = []

    async def child():
        await trio.lowlevel.checkpoint()
        ended.append(True)

    async with open_nursery() as nursery:
        nursery.start_soon(child)
    assert ended == [True]


def test_nursery_ctrl_c_while_it_waits_for_a_child_leaves_as_it_is():
    @trio.lowlevel.enable_ki_protection
    async def child():
        await trio.testing.wait_all_tasks_blocked()
        signal.raise_signal(signal.SIGINT)  # Trio hands it to the main task
        await trio.sleep_forever()

    async def main():
        async with open_nursery() as nursery:
            nursery.start_soon(child)

    with pytest.raises(KeyboardInterrupt):
        trio.run(main)


async def test_nursery_ctrl_c_and_another_error_leave_in_a_group():
    with pytest.raises(BaseExceptionGroup) as info:
        async with open_nursery() as nursery:
            nursery.start_soon(fail, KeyboardInterrupt())
            nursery.start_soon(fail, KeyError())
    assert {type(error) for error in info.value.exceptions} == {
        KeyboardInterrupt,
        KeyError,
    }


async def test_nursery_lets_no_cancelled_of_its_body_out_in_a_group():
    """The body's own nursery has an error, and a child that was cancelled."""

    async def fail_when_cancelled():
        try:
            await trio.sleep_forever()
        finally:
            raise KeyError

    with pytest.raises(BaseExceptionGroup) as info:
        async with open_nursery() as outer, trio.open_nursery() as inner:
            inner.start_soon(fail_when_cancelled)
            inner.start_soon(trio.sleep_forever)
            await trio.testing.wait_all_tasks_blocked()
            outer.start_soon(fail, ValueError())
            await trio.sleep_forever()
    assert info.group_contains(KeyError)
    assert info.group_contains(ValueError)
    assert info.value.split(trio.Cancelled)[0] is None
