"""What goes on within one position is told to stop as anything else is."""

import itertools
import threading
from contextlib import suppress

import pytest
import trio
import trio.testing
from helpers import TIMEOUT

import runtime

# Much work in one position of a chain, for a function that is called for each bit.
MUCH = 100_000
WITHIN = {
    "flat_map": lambda chain, fn: chain.flat_map(lambda _: map(fn, range(MUCH))),
    "flat_map in flat_map": lambda chain, fn: chain.flat_map(
        lambda _: range(MUCH)
    ).flat_map(lambda x: [fn(x)]),
    "chunk": lambda chain, fn: chain.map(fn).chunks(MUCH).map(len),
    "chunk of chunks": lambda chain, fn: chain.map(fn).chunks(2).chunks(MUCH // 2),
    "zip": lambda chain, fn: chain.zip(chain.map(fn).chunks(MUCH)),
}


class Work:
    """Calls of a function, the second of which waits until it may go on."""

    def __init__(self):
        self.has_begun = threading.Event()
        self.may_go_on = threading.Event()
        self.calls = itertools.count(1)
        self.last_call = 0

    def __call__(self, item):
        self.last_call = next(self.calls)
        if self.last_call == 2:
            self.has_begun.set()
            assert self.may_go_on.wait(TIMEOUT)
        return item


@pytest.mark.parametrize("name", WITHIN)
async def test_cancellation_reaches_within_one_position(name):
    async with runtime.open_worker_pool(1, backend="threads") as pool:
        work = Work()
        chain = WITHIN[name](pool.par_iter(range(MUCH)), work)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(chain.count)
            assert await trio.to_thread.run_sync(work.has_begun.wait, TIMEOUT)
            nursery.cancel_scope.cancel()
            with trio.CancelScope(shield=True):
                await trio.testing.wait_all_tasks_blocked()  # its token is set
            work.may_go_on.set()
        assert work.last_call < MUCH


@pytest.mark.parametrize("end", ["error", "answer", "earlier"])
def test_end_of_the_chain_reaches_within_one_position(pair, end):
    """The items of one call have no end; the other call waits until they come."""
    begun = threading.Event()

    def several(item):
        if item == (1 if end == "earlier" else 0):
            return itertools.chain(map(begin, range(3)), itertools.repeat(0))
        assert begun.wait(TIMEOUT)
        if end == "error":
            raise ValueError("the other call")
        return [1]

    def begin(_):
        begun.set()
        return 0

    chain = runtime.par_iter(range(2)).flat_map(several)
    if end == "error":
        with pytest.RaisesGroup(ValueError):
            chain.count()
    elif end == "answer":
        assert chain.any()
    else:
        assert chain.find_first(bool) == 1


async def test_shutdown_reaches_within_one_position():
    async with runtime.open_worker_pool(2, backend="threads") as pool:
        begun = threading.Event()

        def several(_):
            begun.set()
            return itertools.repeat(0)

        async def run():
            with suppress(runtime.TaskCancelled):
                await pool.par_iter([1]).flat_map(several).count()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(run)
            assert await trio.to_thread.run_sync(begun.wait, TIMEOUT)
            report = await pool.shutdown(grace=0.1)
            assert not report.still_running


def test_chunk_that_was_cut_short_is_shown_to_nobody(pair):
    """A function never sees a chunk of another length because its chain stopped."""
    begun = threading.Event()
    lengths = []

    def work(item):
        if item == 99_999:  # in the last chunk of the other worker
            assert begun.wait(TIMEOUT)
            raise ValueError(item)
        begun.set()
        return item

    chain = runtime.par_iter(range(100_000)).map(work).chunks(25_000)
    with pytest.RaisesGroup(ValueError):
        chain.for_each(lambda chunk: lengths.append(len(chunk)))
    assert set(lengths) <= {25_000}
