"""`run_block` on its own and on a worker."""

import contextvars
import sys
import threading
import types

import pytest
import trio

import runtime
from runtime._cli.block import Block, run_block


@pytest.fixture
def user(monkeypatch):
    """A module of the user's that can be imported by name."""
    module = types.ModuleType("block_user")
    monkeypatch.setitem(sys.modules, "block_user", module)
    return module


def block_of(data, *, codec="lines", source="a.txt", stop=False):
    return Block("block_user:fn", codec, stop, source, 10, 100, data)


def ran(block):
    """Run the block as a job does."""

    async def main():
        async with runtime.open_worker_pool(1) as pool:
            return await pool.spawn_cpu_work(run_block, block)

    return trio.run(main)


def test_output_is_all_results(user):
    user.fn = str.upper
    result = ran(block_of(b"a\nb\n"))

    assert (result.output, result.failures) == (b"A\nB\n", ())
    assert (result.item_count, result.input_bytes) == (2, 4)
    assert result.elapsed_ns > 0


def test_items_see_nothing_that_others_have_set(user):
    variable = contextvars.ContextVar("variable", default="unset")

    def swap(line):
        seen = variable.get()
        variable.set(line)
        return seen

    user.fn = swap
    assert ran(block_of(b"a\nb\nc\n")).output == b"unset\nunset\nunset\n"


def test_failure_knows_number_and_place(user):
    user.fn = int
    (failure,) = ran(block_of(b"1\nx\n3\n")).failures

    assert (failure.number, failure.place) == (101, "a.txt:11")
    assert failure.error.startswith("ValueError: ")
    assert failure.traceback == ""


def test_failure_of_a_path_names_the_path(user):
    user.fn = int
    (failure,) = ran(block_of(b"no\nwhere\0", codec="paths", source="")).failures

    assert failure.place == "no\nwhere"


def test_stop_tries_nothing_after_the_failure(user):
    tried = []
    user.fn = lambda item: tried.append(item) or int(item)
    result = ran(block_of(b"1\nx\n3\n", stop=True))

    assert tried == ["1", "x"]
    assert (result.item_count, result.output) == (2, b"1\n")
    assert result.failures[0].traceback.startswith("Traceback")


async def test_cancelled_block_begins_no_further_item(user):
    """1. item "1" runs; 2. the block is cancelled; 3. item "2" is never begun."""
    began, may_end = threading.Event(), threading.Event()
    tried = []

    def fn(item):
        tried.append(item)
        began.set()
        assert may_end.wait(10)

    user.fn = fn
    async with runtime.open_worker_pool(1) as pool:
        job = await pool.submit(run_block, block_of(b"1\n2\n"))
        assert await trio.to_thread.run_sync(began.wait, 10)
        job.cancel()
        may_end.set()
        with pytest.raises(runtime.TaskCancelled):
            await job.wait()

    assert tried == ["1"]
