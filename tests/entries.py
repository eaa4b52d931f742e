"""Every public way to use a pool and what comes from it, for callers it must refuse."""

from contextlib import asynccontextmanager
from types import SimpleNamespace

import trio

import runtime


async def numbers():
    yield 1


async def enter(manager):
    """Enter a block; leave it if that was possible."""
    async with manager:
        pass


async def iterate(pool):
    async with pool.map(abs, [-1]) as results:
        return [result async for result in results]


async def process(processor):
    async with processor.process([1]) as responses:
        return [response async for response in responses]


async def process_into(processor):
    send, receive = trio.open_memory_channel(10)
    with send, receive:
        await processor.process_into([1], send)


def chain(pool):
    return pool.par_iter(range(10)).map(abs)


# Given what `kept` gives, each returns a coroutine.
ASYNC = {
    "spawn": lambda k: k.pool.spawn(trio.sleep, 0),
    "spawn_cpu_work": lambda k: k.pool.spawn_cpu_work(abs, -1),
    "spawn_cpu_work, limited": lambda k: k.pool.spawn_cpu_work(
        abs, -1, limiter=k.limiter
    ),
    "submit": lambda k: k.pool.submit(abs, -1),
    "spawn_parallel_batch": lambda k: k.pool.spawn_parallel_batch([-1], abs),
    "spawn_chunked_parallel": lambda k: k.pool.spawn_chunked_parallel([-1], 1, abs),
    "map": lambda k: iterate(k.pool),
    "map, made before": lambda k: enter(k.unopened_map),
    "map, iterated": lambda k: anext(k.results),
    "shutdown": lambda k: k.pool.shutdown(1.0),
    "join": lambda k: k.pool.join(int, int),
    "broadcast": lambda k: k.pool.broadcast(int),
    "par_iter.sum": lambda k: chain(k.pool).sum(),
    "par_iter.collect": lambda k: chain(k.pool).collect(),
    "par_iter.count": lambda k: chain(k.pool).count(),
    "par_iter.for_each": lambda k: chain(k.pool).for_each(abs),
    "par_iter.find_any": lambda k: chain(k.pool).find_any(bool),
    "par_iter of an async iterable": lambda k: k.pool.par_iter(numbers()).sum(),
    "Job.wait": lambda k: k.job.wait(),
    "execute": lambda k: k.processor.execute(1),
    "execute_parallel_batch": lambda k: k.processor.execute_parallel_batch([1]),
    "execute_chunked_parallel": lambda k: k.processor.execute_chunked_parallel([1]),
    "process": lambda k: process(k.processor),
    "process, made before": lambda k: enter(k.unopened_process),
    "process, iterated": lambda k: anext(k.responses),
    "process_into": lambda k: process_into(k.processor),
}
SYNC = {
    "submit_nowait": lambda k: k.pool.submit_nowait(abs, -1),
    "spawn_nowait": lambda k: k.pool.spawn_nowait(trio.sleep, 0),
    "map": lambda k: k.pool.map(abs, [-1]),
    "Job.cancel": lambda k: k.job.cancel(),
    "process": lambda k: k.processor.process([1]),
}


@asynccontextmanager
async def kept(pool, hold, *args):
    """Open and begin all that can be kept; the job is ``hold(*args)``."""
    job = pool.submit_nowait(hold, *args)
    async with (
        runtime.ParallelProcessor(abs, pool=pool) as processor,
        pool.map(abs, [-1, -2]) as results,
        processor.process([1, 2]) as responses,
    ):
        yield SimpleNamespace(
            pool=pool,
            job=job,
            limiter=trio.CapacityLimiter(1),
            processor=processor,
            results=results,
            responses=responses,
            unopened_map=pool.map(abs, [-1]),
            unopened_process=processor.process([1]),
        )


def outcomes(entries, call):
    """Return what ``call(entry)`` raises for each entry, by name."""
    raised = {}
    for name, entry in entries.items():
        try:
            value = call(entry)
        except Exception as error:
            raised[name] = error
        else:
            raised[name] = f"returned {value!r}"
    return raised


def call_in_trio(kept):
    """Return a function that calls an entry in a Trio run of its own, within bounds."""

    def call(entry):
        async def main():
            with trio.fail_after(20):
                called = entry(kept)
                return await called if hasattr(called, "send") else called

        return trio.run(main)

    return call


def call_without_trio(kept):
    """Return a function that begins an entry in a thread where no Trio runs."""

    def call(entry):
        called = entry(kept)
        if not hasattr(called, "send"):
            return called
        try:
            return called.send(None)
        finally:
            called.close()

    return call
