"""The thread functions of Trio, made of ours, for the peers' own tests.

A name, an argument and a default are translated, nothing else: an error or a
cancellation arrives as we raise it. What we do not have (a call from a thread that
nobody sent to work, with a Trio token) is Trio's own.
"""

import trio

import runtime

# Peers' threads wait for each other and for the test, so there have to be enough.
WORKERS = 24

_pools = trio.lowlevel.RunVar("peers")


async def to_thread_run_sync(
    sync_fn, *args, thread_name=None, abandon_on_cancel=False, limiter=None
):
    """`trio.to_thread.run_sync` on a pool of the run's own."""
    on_cancel = "abandon" if abandon_on_cancel else "wait"
    if limiter is None:
        limiter = trio.to_thread.current_default_thread_limiter()
    return await (await _pool()).spawn_cpu_work(
        sync_fn, *args, on_cancel=on_cancel, limiter=limiter, name=thread_name
    )


def from_thread_run(afn, *args, trio_token=None):
    """`trio.from_thread.run`."""
    if trio_token is not None:
        return _TRIO_RUN(afn, *args, trio_token=trio_token)
    return runtime.from_worker.run(afn, *args)


def from_thread_run_sync(fn, *args, trio_token=None):
    """`trio.from_thread.run_sync`."""
    if trio_token is not None:
        return _TRIO_RUN_SYNC(fn, *args, trio_token=trio_token)
    return runtime.from_worker.run_sync(fn, *args)


from_thread_check_cancelled = runtime.check_cancelled

_TRIO_RUN = trio.from_thread.run
_TRIO_RUN_SYNC = trio.from_thread.run_sync


async def _pool():
    try:
        return _pools.get()
    except LookupError:
        ready = trio.Event()
        trio.lowlevel.spawn_system_task(_own_pool, ready)
        await ready.wait()
        return _pools.get()


async def _own_pool(ready):
    async with runtime.open_worker_pool(WORKERS, backend="threads") as pool:
        _pools.set(pool)
        ready.set()
        await trio.sleep_forever()
