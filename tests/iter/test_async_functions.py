"""An async function given by mistake is refused by name, wherever a function goes."""

import functools
import operator
from functools import partial

import data_parallel
import pytest

import runtime


async def is_good(_item, *_):
    return False


async def many_good(_item, *_):
    yield False


def plain(fn):
    """Decorate without functools.wraps: seen for async only when it is called."""

    def decorated(*args):
        return fn(*args)

    decorated.__qualname__ = fn.__qualname__
    return decorated


class Good:
    async def __call__(self, _item, *_):
        return False

    async def is_good(self, _item, *_):
        return False


# What is known to be async before it is called, and how the error names it.
KNOWN = {
    "function": (is_good, "is_good"),
    "generator": (many_good, "many_good"),
    "partial": (partial(partial(is_good), 1), "is_good"),
    "wrapper": (functools.wraps(len)(partial(is_good)), "is_good|len"),
    "method": (Good().is_good, "Good.is_good"),
    "object": (Good(), "Good"),
    "coroutine": (None, "coroutine"),
}

ADAPTORS = {
    "map": lambda chain, fn: chain.map(fn),
    "starmap": lambda chain, fn: chain.enumerate().starmap(fn),
    "filter": lambda chain, fn: chain.filter(fn),
    "filter_map": lambda chain, fn: chain.filter_map(fn),
    "flat_map": lambda chain, fn: chain.flat_map(fn),
    "inspect": lambda chain, fn: chain.inspect(fn),
    "map_init": lambda chain, fn: chain.map_init(list, fn),
}
TERMINALS = {
    "for_each": lambda chain, fn: chain.for_each(fn),
    "reduce": lambda chain, fn: chain.reduce(fn),
    "reduce_deterministic": lambda chain, fn: chain.reduce_deterministic(fn),
    "fold": lambda chain, fn: chain.fold(int, fn, operator.add),
    "any": lambda chain, fn: chain.any(fn),
    "all": lambda chain, fn: chain.all(fn),
    "find_any": lambda chain, fn: chain.find_any(fn),
    "find_first": lambda chain, fn: chain.find_first(fn),
    "position": lambda chain, fn: chain.position(fn),
    "partition": lambda chain, fn: chain.partition(fn),
}
# Those of whose functions only the result tells more than is used of it here.
KEYS = {
    "min": lambda chain, fn: chain.min(fn),
    "max": lambda chain, fn: chain.max(fn),
    "map_init": lambda chain, fn: chain.map_init(fn, divmod),
    "fold": lambda chain, fn: chain.fold(int, operator.add, fn),
    "fold's make": lambda chain, fn: chain.fold(fn, operator.add, operator.add),
}


def scope(fn):
    with runtime.scope() as scope:
        scope.spawn(fn, 1)


CALLS = {
    "broadcast": lambda fn: runtime.broadcast(fn, 1),
    "scope": scope,
    "run": lambda fn: runtime.par_iter([0]).map(lambda _: 0).sum() or run(fn),
}


def run(fn):
    with runtime.open_sync_pool(1) as pool:
        pool.run(fn, 1)


@pytest.fixture(params=[is_good, many_good], ids=["coroutine", "generator"])
def hidden(request):
    """A function that is only seen for async when it is called; how it is refused."""
    kind = "a coroutine" if request.param is is_good else "an async generator"
    match = f"{request.param.__name__}.* returned {kind}"
    return plain(request.param), pytest.RaisesExc(TypeError, match=match)


@pytest.fixture
def alone():
    """A sync pool of one worker: one item fails, and no other begins."""
    with runtime.open_sync_pool(1) as pool:
        yield pool


@pytest.mark.parametrize("kind", KNOWN)
def test_misuse_async_function_is_refused_at_the_call(pair, kind):
    fn, name = KNOWN[kind]
    for call in [*ADAPTORS.values(), *TERMINALS.values(), *KEYS.values()]:
        given = is_good(1) if fn is None else fn
        with pytest.raises(TypeError, match=name):
            call(runtime.par_iter([1, 2]), given)
    for call in CALLS.values():
        given = is_good(1) if fn is None else fn
        with pytest.raises(TypeError, match=name):
            call(given)
    with pytest.raises(TypeError, match=name):
        runtime.worker_local(is_good(1) if fn is None else fn)


@pytest.mark.parametrize("name", ADAPTORS)
def test_misuse_hidden_async_function_in_a_chain(alone, hidden, name):
    fn, refused = hidden
    chain = ADAPTORS[name](runtime.par_iter([1]), fn)
    with pytest.RaisesGroup(refused):
        chain.count()


def test_misuse_coroutine_is_no_scratch_object(alone):
    async def make():
        return []

    chain = runtime.par_iter([1]).map_init(plain(make), max)
    with pytest.RaisesGroup(pytest.RaisesExc(TypeError, match="returned a coroutine")):
        chain.count()


@pytest.mark.parametrize("name", TERMINALS)
def test_misuse_hidden_async_function_in_a_terminal(alone, hidden, name):
    fn, refused = hidden
    chain = runtime.par_iter([1, 2])
    with pytest.RaisesGroup(refused):
        TERMINALS[name](chain, fn)


def test_misuse_hidden_async_function_elsewhere(pair, hidden):
    fn, refused = hidden
    with pytest.RaisesGroup(refused, refused):
        runtime.broadcast(fn, 1)
    with pytest.RaisesGroup(refused):
        scope(fn)
    for call in (
        lambda: runtime.join(fn, 1, int, 0),
        lambda: runtime.join(int, 0, fn, 1),
        lambda: pair.run(fn, 1),
        lambda: pair.run(lambda: pair.run(fn, 1)),
        lambda: pair.run(runtime.worker_local(partial(fn, 1)).get),
    ):
        with refused:
            call()
    with pytest.raises(TypeError, match="is_good returned a coroutine"):
        runtime.join(is_good, 1, int, 0)


async def test_misuse_hidden_async_function_in_a_pool(inline, hidden):
    fn, refused = hidden
    with refused:
        await inline.spawn_cpu_work(fn, 1)
    with pytest.RaisesGroup(refused):
        await inline.spawn_parallel_batch([1, 2, 3], fn)
    with pytest.RaisesGroup(refused):
        await inline.spawn_chunked_parallel([1, 2, 3], 2, fn, takes_chunk=True)
    with pytest.RaisesGroup(refused):
        async with inline.map(fn, [1]) as results:
            async for _ in results:
                pass


async def test_misuse_hidden_async_function_where_errors_are_results(inline, hidden):
    """With ``on_error="return"`` it is the item's error."""
    fn, refused = hidden
    (answer,) = await inline.spawn_parallel_batch([1], fn, "return")
    with refused:
        answer.unwrap()
    async with inline.map(fn, [1], on_error="return") as results:
        async for result in results:
            with refused:
                result.unwrap()


async def test_misuse_async_function_in_a_job(pool):
    """What asks Trio names the function, on both backends."""
    with pytest.raises(TypeError, match="double_later"):
        await pool.spawn_cpu_work(data_parallel.run_sync_of_async)
    with pytest.raises(TypeError, match=r"pow returned nothing.*from_worker\.run_sync"):
        await pool.spawn_cpu_work(runtime.from_worker.run, pow, 1, 2)
    with pytest.raises(TypeError, match=r"double_later returned a coroutine"):
        await pool.spawn_cpu_work(
            data_parallel.join, data_parallel.double_later, 1, int, 0
        )


def test_misuse_async_function_as_an_option():
    with pytest.raises(TypeError, match="is_good is async"):
        runtime.ParallelConfig(cost_of=is_good)
    with pytest.raises(TypeError, match="is_good is async"):
        runtime.ParallelConfig(size_of=is_good)


async def test_misuse_async_initializer():
    with pytest.raises(TypeError, match="is_good is async"):
        async with runtime.open_worker_pool(1, initializer=is_good):
            pass
