"""What is written wrong at first is answered with the line to write."""

import logging
import sys
import weakref
from itertools import count

import pytest

import runtime
import runtime._iter.sync_pool

SYNC_POOL = sys.modules["runtime._iter.sync_pool"]


def test_misuse_chain_is_iterated_over(pair):
    chain = runtime.par_iter(range(3)).map(str)
    line = r"for item in runtime\.par_iter\(\.\.\.\)\.map\(str\)\.collect\(\): \.\.\.$"
    with pytest.raises(TypeError, match=line):
        list(chain)
    with pytest.raises(TypeError, match=line):
        runtime.par_iter(chain).sum()


async def test_misuse_chain_on_a_pool_is_iterated_over_or_awaited(inline):
    chain = inline.par_iter(range(3)).map(str)
    line = r"await pool\.par_iter\(\.\.\.\)\.map\(str\)\.collect\(\)"
    with pytest.raises(TypeError, match=f"for item in {line}"):
        iter(chain)
    with pytest.raises(TypeError, match=f"for item in {line}"):
        aiter(chain)
    with pytest.raises(TypeError, match=f"answer = {line}$"):
        await chain


async def test_misuse_sync_pool_with_async_with():
    with pytest.raises(TypeError, match=r"async with runtime\.open_worker_pool\(\)"):
        async with runtime.open_sync_pool(1):
            pass


def test_misuse_block_of_a_sync_pool_begins_twice():
    block = runtime.open_sync_pool(1, name="mine")
    with block:
        with pytest.raises(RuntimeError, match="'mine' has begun already"), block:
            pass
        assert runtime.par_iter(range(10)).sum() == 45
    with (
        pytest.raises(RuntimeError, match=r"another: with runtime\.open_sync_pool\(\)"),
        block,
    ):
        pass


def test_misuse_sync_pool_without_its_block():
    with pytest.raises(AttributeError, match=r"as pool: pool\.run$"):
        runtime.open_sync_pool(1).run(int)


def test_misuse_sync_pool_is_made_by_its_opener():
    line = r"with runtime\.open_sync_pool\(4, name='mine'\) as pool: \.\.\.$"
    with pytest.raises(TypeError, match=f"a SyncPool is made by .*{line}"):
        runtime.SyncPool(4, name="mine")


def test_misuse_keywords_for_the_function(pair):
    with runtime.scope() as scope:
        for name, call in {
            "pool.run": pair.run,
            "runtime.broadcast": runtime.broadcast,
            "scope.spawn": scope.spawn,
        }.items():
            line = rf"{name}\(functools\.partial\(int, base=2\), \.\.\.\)$"
            with pytest.raises(TypeError, match=line):
                call(int, "11", base=2)


def test_sync_pool_decorates_a_function():
    @runtime.open_sync_pool(1)
    def total():
        return runtime.par_iter(range(10)).sum()

    assert total() == total() == 45


def test_sync_pool_can_be_referenced_weakly(pair):
    assert weakref.ref(pair)() is pair


@pytest.mark.parametrize("has_gil", [True, False])
def test_first_sync_pool_says_that_threads_gain_nothing(monkeypatch, caplog, has_gil):
    monkeypatch.setattr(SYNC_POOL, "_hints", count())
    monkeypatch.setattr(SYNC_POOL, "is_gil_enabled", lambda: has_gil)
    with caplog.at_level(logging.WARNING, logger="runtime"):
        for _ in range(3):
            with runtime.open_sync_pool(1):
                pass
    lines = [message for message in caplog.messages if "open_sync_pool" in message]
    assert len(lines) == has_gil
