"""The pool of a Trio run that nobody opened: `runtime.spawn_cpu_work`.

The first call opens it; a system task of the run owns it and closes it when the
run ends. An error must never leave a system task, since Trio ends the whole run for
that, so errors go to the callers or to the log.

Layer: frontend.
"""

import logging
from collections.abc import Callable
from types import TracebackType
from typing import Never

import trio

from .._errors import PoolClosedError
from .opening import open_worker_pool
from .options import Limiter, OnCancel, Priority, check_keywords
from .pool import WorkerPool
from .protected import check_in_trio

__all__ = ("spawn_cpu_work",)

NAME = "default"

_logger = logging.getLogger("runtime")


@trio.lowlevel.enable_ki_protection
async def spawn_cpu_work[*Ts, R](
    fn: Callable[[*Ts], R],
    *args: *Ts,
    on_cancel: OnCancel = "wait",
    priority: Priority = Priority.NORMAL,
    limiter: Limiter | None = None,
    name: str | None = None,
    **keywords: Never,
) -> R:
    """Run ``fn(*args)`` on the run's default pool and wait for its result.

    The pool has one worker for each core this process may use. It is opened by the
    first call and closes with the Trio run. Everything else is as for
    `WorkerPool.spawn_cpu_work`, arguments and cancellation included.

    Raises:
      PoolClosedError: the Trio run is ending.
      BackendUnavailableError, BrokenWorkerError: the pool could not be opened. The next
        call tries again.
    """
    check_in_trio("runtime.spawn_cpu_work()")
    check_keywords(keywords, fn, "runtime.spawn_cpu_work")
    pool = await _default_pool()
    return await pool.spawn_cpu_work(
        fn, *args, on_cancel=on_cancel, priority=priority, limiter=limiter, name=name
    )


class _DefaultPool:
    """The default pool of one Trio run, on its way or there."""

    def __init__(self) -> None:
        self.is_decided = trio.Event()
        self.pool: WorkerPool | None = None
        # Why there is none, and where that happened.
        self.error: BaseException = PoolClosedError(NAME)
        self.traceback: TracebackType | None = None

    async def own(self) -> None:
        """Hold the pool open until the run ends; the body of the system task."""
        try:
            await trio.lowlevel.checkpoint()  # raises if the run is ending
            async with open_worker_pool(name=NAME) as self.pool:
                self.is_decided.set()
                await trio.sleep_forever()
        except Exception as error:
            if self.pool is None:
                self.error, self.traceback = error, error.__traceback__
                _holder.set(None)  # whoever comes next tries again
            else:
                _logger.exception("the default pool ended with an error")
        finally:  # a run that ends cancels the task, maybe before there is a pool
            self.is_decided.set()


_holder: trio.lowlevel.RunVar[_DefaultPool | None]
_holder = trio.lowlevel.RunVar("runtime.default", None)


async def _default_pool() -> WorkerPool:
    holder = _holder.get()
    if holder is None:
        holder = _DefaultPool()
        try:
            trio.lowlevel.spawn_system_task(holder.own, name="runtime default pool")
        except RuntimeError:  # the run ends, and starts no task any more
            raise PoolClosedError(NAME) from None
        _holder.set(holder)
    if holder.pool is None:
        await holder.is_decided.wait()
    if holder.pool is None:
        # As it was raised there, whoever else has raised it meanwhile.
        raise holder.error.with_traceback(holder.traceback)
    return holder.pool
