"""`WorkerPool.par_iter`: the same chains on every backend."""

import operator
from array import array

import jobs
import pytest
import trio

import runtime

NUMBERS = list(range(3000))


async def test_chain_answers_as_in_plain_python(pool):
    chain = pool.par_iter(range(3000)).map(jobs.square)
    squares = list(map(jobs.square, NUMBERS))
    assert await chain.sum() == sum(squares)
    assert await chain.collect() == squares
    assert await chain.filter(jobs.is_even).count() == 1500
    assert await chain.enumerate().max() == (2999, squares[-1])
    assert await chain.zip(NUMBERS).starmap(operator.sub).min() == 0
    assert await chain.chunks(7).map(sum).reduce(operator.add) == sum(squares)
    assert await chain.chain("ab").skip(2999).collect() == [squares[-1], "a", "b"]
    assert await chain.map_init(list, jobs.use_scratch).sum() == sum(squares)


@pytest.mark.parametrize("source", [list, tuple, set, iter, bytes, memoryview, array])
async def test_chain_over_any_source(pool, source):
    numbers = [n % 256 for n in NUMBERS]
    data = {memoryview: bytes, array: lambda n: array("i", n)}.get(source, source)
    expected = sum(map(jobs.square, data(numbers)))
    given = memoryview(bytes(numbers)) if source is memoryview else data(numbers)
    assert await pool.par_iter(given).map(jobs.square).sum() == expected


async def test_chain_over_an_async_source(pool):
    async def numbers():
        for number in NUMBERS:
            await trio.lowlevel.checkpoint()
            yield number

    assert await pool.par_iter(numbers()).map(jobs.square).count() == 3000


async def test_chain_that_knows_its_answer_stops(pool):
    def endless():
        number = 0
        while True:
            yield number
            number += 1

    assert await pool.par_iter(endless()).find_first(jobs.is_large) == 5001
    assert await pool.par_iter(endless()).any(jobs.is_large)
    assert await pool.par_iter(range(10**9)).position(jobs.is_large) == 5001


async def test_chain_that_fails_raises_a_group(pool):
    with pytest.RaisesGroup(ValueError):
        await pool.par_iter("12x4").map(int).sum()
    with pytest.RaisesGroup(OSError):
        await pool.par_iter(jobs.failing_source()).sum()
    with pytest.RaisesGroup(TypeError):  # where totals come together
        await pool.par_iter([1, "a"]).with_min_len(1).sum()
    assert await pool.par_iter(range(3)).sum() == 3


async def test_chain_that_is_cancelled_stops(pool):
    with trio.move_on_after(0.01) as scope:
        await pool.par_iter(range(10**12)).map(jobs.square).sum()
    assert scope.cancelled_caught
    assert await pool.par_iter(range(3)).sum() == 3


async def test_chain_in_interpreters_names_what_cannot_cross(interpreters):
    async with runtime.open_worker_pool(1, backend="interpreters") as pool:
        with pytest.RaisesGroup(
            pytest.RaisesExc(runtime.CrossingError, match="_fn .*<lambda>")
        ):
            await pool.par_iter([1]).map(lambda n: n).sum()
