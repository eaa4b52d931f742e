"""Workers for a plain thread: a pool without Trio.

Scripts, notebooks and libraries that know nothing of Trio get the same workers; the
thread that asks blocks until the answer is there.

Layer: iter. Imports: `runtime._core`, `runtime._frontend`, `place`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count

import trio

from .._core import CancelToken, Job, Latch, Registry, job_context
from .._errors import InternalError, NotOnWorkerError, PoolClosedError
from .._frontend.options import check_count
from .._frontend.registries import SPIN_ROUNDS
from .._util import available_cores, is_gil_enabled
from .place import SIGNAL_STEP, enter_sync_pool, leave_sync_pool

__all__ = ("SyncPool", "open_sync_pool")

_pool_numbers = count(1)


@contextmanager
def open_sync_pool(
    worker_count: int | None = None, *, name: str | None = None
) -> Iterator["SyncPool"]:
    """Open workers for a plain thread, for the length of a ``with`` block.

    Inside the block, in this thread, `join`, `scope`, `broadcast` and `par_iter` run
    on these workers, and the thread waits for the answer::

        with runtime.open_sync_pool():
            total = runtime.par_iter(range(1000)).map(cost).sum()

    Leaving the block ends the workers. In a Trio program use `open_worker_pool`.

    Args:
      worker_count: How many workers, at least 1; by default the cores this process
        may use.
      name: Shown in thread names and errors.

    Raises:
      NotOnWorkerError: called in a Trio thread, which must not block.
      BrokenWorkerError: a worker's thread could not be started.
    """
    if trio.lowlevel.in_trio_run():
        raise NotOnWorkerError(
            "runtime.open_sync_pool()",
            "async with runtime.open_worker_pool() as pool: ...",
            place="outside of Trio, since it blocks its thread",
        )
    if worker_count is None:
        worker_count = available_cores()
    check_count(worker_count, 1, "worker_count")
    pool = SyncPool(
        worker_count, f"sync-{next(_pool_numbers)}" if name is None else name
    )
    enter_sync_pool(pool)
    try:
        yield pool
    finally:
        leave_sync_pool(pool)
        pool.registry.stop()
        pool.registry.join()


class SyncPool:
    """The workers of a plain thread; made by `open_sync_pool`.

    Thread safety: internally synchronized; other threads may call `run` while the block
    lasts.
    """

    __slots__ = ("_failure", "name", "registry")

    def __init__(self, worker_count: int, name: str) -> None:
        self.name: str = name  # immutable
        self._failure: BaseException | None = None  # atomic: a single store
        self.registry: Registry = Registry(  # immutable
            worker_count,
            name=name,
            spin_rounds=1 if is_gil_enabled() else SPIN_ROUNDS,
            on_failure=self._note_failure,
        )
        self.registry.start()

    def __repr__(self) -> str:
        state = "closed" if self.registry.is_stopping else "open"
        return f"<runtime.SyncPool {self.name!r} {state}, {self.worker_count} workers>"

    @property
    def worker_count(self) -> int:
        """How many jobs run at the same time."""
        return self.registry.worker_count

    def run[*Ts, R](self, fn: Callable[[*Ts], R], *args: *Ts) -> R:
        """Run ``fn(*args)`` on a worker and block until it has ended.

        Ctrl-C withdraws the job, or sets its token and waits for its end.

        Raises:
          PoolClosedError: the block is over.
        """
        if self.registry.is_stopping:
            raise PoolClosedError(self.name)
        left = Latch()
        token = CancelToken()
        job = Job(fn, args, job_context(), token=token, sink=left.set)
        self.registry.inject(job)
        try:
            while not left.wait(SIGNAL_STEP):
                pass
        except BaseException:  # KeyboardInterrupt, or what a signal handler raised
            token.is_set = True
            self.registry.withdraw(job)
            left.wait()
            raise
        answer, job.outcome = job.outcome, None
        if answer is None:
            raise InternalError("the scheduler failed") from self._failure
        value: R = answer.unwrap()  # type: ignore[assignment]  # what fn returned
        return value

    def _note_failure(self, error: BaseException) -> None:
        self._failure = error
