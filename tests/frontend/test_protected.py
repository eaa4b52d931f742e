import asyncio
from contextlib import asynccontextmanager

import pytest
import trio

import runtime
from runtime._frontend.intake import Intake
from runtime._frontend.protected import protected


@protected("async with block(seen) as value: ...")
@asynccontextmanager
async def block(seen):
    seen.append(trio.lowlevel.currently_ki_protected())
    try:
        yield "value"
    finally:
        seen.append(trio.lowlevel.currently_ki_protected())


async def test_protected_block_is_protected_at_both_ends_and_not_in_its_body():
    seen = []
    async with block(seen) as value:
        assert value == "value"
        assert not trio.lowlevel.currently_ki_protected()
    assert seen == [True, True]


async def test_protected_block_lets_its_bodys_error_out_unchanged():
    seen = []
    error = KeyError()
    with pytest.raises(KeyError) as info:
        async with block(seen):
            raise error
    assert info.value is error
    assert seen == [True, True]


@pytest.mark.parametrize(
    "open_pool", [runtime.open_worker_pool, runtime.testing.inline_pool]
)
async def test_pool_block_is_left_protected(open_pool, monkeypatch):
    seen = []

    async def drain(intake, **options):
        seen.append(trio.lowlevel.currently_ki_protected())
        await real_drain(intake, **options)

    real_drain = Intake.drain
    monkeypatch.setattr(Intake, "drain", drain)
    async with open_pool() as pool:
        await pool.shutdown()
    async with open_pool() as pool, pool.map(abs, [-1]) as results:
        assert [result async for result in results] == [1]
        assert not trio.lowlevel.currently_ki_protected()
    assert seen == [True] * 4  # shutdown drains twice


async def test_misuse_without_async_with_says_what_to_write(pool):
    with pytest.raises(TypeError, match="write instead: async with"):
        await runtime.open_worker_pool()
    with pytest.raises(TypeError, match="write instead: async with"):
        async for _ in pool.map(int, "1"):
            pass
    with pytest.raises(TypeError, match="write instead: async with"):  # noqa: SIM117
        with runtime.open_worker_pool():
            pass


def test_misuse_under_another_loop_says_what_to_do():
    async def open_a_pool():
        async with runtime.open_worker_pool():
            pass

    with pytest.raises(RuntimeError, match=r"a pool needs Trio.*trio\.run"):
        asyncio.run(open_a_pool())
    with pytest.raises(RuntimeError, match=r"spawn_cpu_work\(\) needs Trio"):
        asyncio.run(runtime.spawn_cpu_work(int))
