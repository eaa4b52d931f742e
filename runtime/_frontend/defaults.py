"""The pool of a Trio run that nobody opened: `runtime.spawn_cpu_work`.

The first call opens it; a system task of the run owns it and closes it when the
run ends. An error must never leave a system task, since Trio ends the whole run for
that, so errors go to the callers or to the log.

Layer: frontend. Imports: `pool`, `protected`, trio.
"""

import logging
from collections.abc import Callable

import trio

from .opening import open_worker_pool
from .options import Limiter, OnCancel, Priority
from .pool import WorkerPool
from .protected import check_in_trio

__all__ = ("spawn_cpu_work",)

_logger = logging.getLogger("runtime")


@trio.lowlevel.enable_ki_protection
async def spawn_cpu_work[*Ts, R](
    fn: Callable[[*Ts], R],
    *args: *Ts,
    on_cancel: OnCancel = "wait",
    priority: Priority = Priority.NORMAL,
    limiter: Limiter | None = None,
    name: str | None = None,
) -> R:
    """Run ``fn(*args)`` on the run's default pool and wait for its result.

    The pool has one worker for each core this process may use. It is opened by the
    first call and closes with the Trio run. Everything else is as for
    `WorkerPool.spawn_cpu_work`, arguments and cancellation included.

    Raises:
      PoolClosedError: the Trio run is ending.
    """
    check_in_trio("runtime.spawn_cpu_work()")
    pool = await _default_pool()
    return await pool.spawn_cpu_work(
        fn, *args, on_cancel=on_cancel, priority=priority, limiter=limiter, name=name
    )


class _DefaultPool:
    """The default pool of one Trio run, on its way or there."""

    def __init__(self) -> None:
        self.ready = trio.Event()
        self.pool: WorkerPool | None = None
        self.error: Exception | None = None

    async def own(self) -> None:
        """Hold the pool open until the run ends; the body of the system task."""
        try:
            async with open_worker_pool(name="default") as self.pool:
                self.ready.set()
                await trio.sleep_forever()
        except Exception as error:
            self.error = error
            _logger.exception("the default pool ended with an error")
        finally:
            self.ready.set()


_holder: trio.lowlevel.RunVar[_DefaultPool] = trio.lowlevel.RunVar("runtime.default")


async def _default_pool() -> WorkerPool:
    try:
        holder = _holder.get()
    except LookupError:
        holder = _DefaultPool()
        _holder.set(holder)
        trio.lowlevel.spawn_system_task(holder.own, name="runtime default pool")
    if holder.pool is None:
        await holder.ready.wait()
    if holder.pool is None:
        raise RuntimeError("the default pool could not be opened") from holder.error
    return holder.pool
