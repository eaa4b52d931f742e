"""Workers for a plain thread: a pool without Trio.

Scripts, notebooks and libraries that know nothing of Trio get the same workers; the
thread that asks blocks until the answer is there.

Layer: iter.
"""

import logging
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, ContextDecorator
from itertools import count
from types import TracebackType
from typing import Never, NoReturn, cast, override

import trio

from .._backends import why_unavailable
from .._backends.threads import SPIN_ROUNDS
from .._core import CancelToken, Job, Latch, Registry, current_worker, job_context
from .._errors import (
    BrokenWorkerError,
    InternalError,
    JobCancelled,
    NotOnWorkerError,
    PoolClosedError,
)
from .._frontend import forking
from .._frontend.options import check_count
from .._util import (
    available_cores,
    called,
    check_keywords,
    check_sync_callable,
    is_gil_enabled,
    made_by_opener,
)
from .ctrl_c import whole
from .place import SIGNAL_STEP, enter_sync_pool, leave_sync_pool, waiting_outside

__all__ = ("SyncPool", "open_sync_pool")

_logger = logging.getLogger("runtime")
_pool_numbers = count(1)
# Each number is given to one caller: the first opens a pool without a use.
_hints = count()  # atomic: next


def open_sync_pool(
    worker_count: int | None = None, *, name: str | None = None
) -> AbstractContextManager["SyncPool"]:
    """Open workers for a plain thread, for the length of a ``with`` block.

    Inside the block, in this thread, `join`, `scope`, `broadcast` and `par_iter` run
    on these workers, and the thread waits for the answer::

        with runtime.open_sync_pool():
            total = runtime.par_iter(range(1000)).map(cost).sum()

    Leaving the block ends the workers. In a Trio program use `open_worker_pool`.

    The workers are threads, on every build: with a GIL only code that releases it gains
    from them, and the first pool logs a warning that says so, to ``runtime``. The
    workers of `open_worker_pool` are interpreters there.

    Args:
      worker_count: How many workers, at least 1; by default the cores this process
        may use.
      name: Shown in thread names and errors.

    Raises:
      NotOnWorkerError: called in a Trio thread, which must not block.
      BrokenWorkerError: a worker's thread could not be started.
    """
    return _Block(worker_count, name)


class _Block(ContextDecorator, AbstractContextManager["SyncPool"]):
    """The block of one sync pool."""

    __slots__ = ("_name", "_pool", "_worker_count")

    def __init__(self, worker_count: int | None, name: str | None) -> None:
        self._worker_count = worker_count
        self._name = name
        self._pool: SyncPool | None = None

    def _recreate_cm(self) -> "_Block":
        return _Block(self._worker_count, self._name)  # as a decorator: for each call

    @override
    def __enter__(self) -> "SyncPool":
        if trio.lowlevel.in_trio_run():
            raise NotOnWorkerError(
                "runtime.open_sync_pool()",
                "async with runtime.open_worker_pool() as pool: ...",
                place="outside of Trio, since it blocks its thread",
            )
        if self._pool is not None:
            raise RuntimeError(
                f"the block of pool {self._pool.name!r} has begun already, and a pool "
                "has one; open another: with runtime.open_sync_pool() as pool: ..."
            )
        worker_count = self._worker_count
        if worker_count is None:
            worker_count = available_cores()
        check_count(worker_count, 1, "worker_count", sys.maxsize)
        _hint_at_gil()
        name = f"sync-{next(_pool_numbers)}" if self._name is None else self._name
        try:
            return whole(self._open, worker_count, name)
        except BaseException:  # Ctrl-C: there may be workers already
            self._end_opened()
            raise

    def _open(self, worker_count: int, name: str) -> "SyncPool":
        self._pool = _opened(worker_count, name)
        enter_sync_pool(self._pool)
        return self._pool

    @override
    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        try:
            pool = whole(self._end)
        except BaseException:  # Ctrl-C: before it or after it
            self._end()
            raise
        pool.join()

    def _end_opened(self) -> None:
        if self._pool is not None:
            self.__exit__(None, None, None)

    def _end(self) -> "SyncPool":
        """Have the workers end; may be called again."""
        assert self._pool is not None
        leave_sync_pool(self._pool)
        self._pool.stop()
        return self._pool

    def __aenter__(self) -> NoReturn:
        raise TypeError(
            "open_sync_pool() is for threads that may block; write: "
            "with runtime.open_sync_pool() as pool: ...; or in Trio: "
            "async with runtime.open_worker_pool() as pool: ..."
        )

    def __aexit__(self, *_error: object) -> NoReturn:
        raise AssertionError("it was never entered")

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(
            f"{name!r} is the pool's, and open_sync_pool() only opens one; write: "
            f"with runtime.open_sync_pool() as pool: pool.{name}"
        )


def _hint_at_gil() -> None:
    """Say once that threads gain nothing for most work where there is a GIL."""
    if is_gil_enabled() and next(_hints) == 0:
        if why_unavailable("interpreters") is None:
            elsewhere = "in Trio, open_worker_pool() runs interpreters here, and a "
        else:
            elsewhere = "a "
        _logger.warning(
            "open_sync_pool() runs threads, and this Python has a GIL: work in Python "
            "gains nothing; %sfree-threaded build runs it on every core",
            elsewhere,
        )


def _opened(worker_count: int, name: str) -> "SyncPool":
    """Make a pool and start its workers."""
    pool = SyncPool.__new__(SyncPool)
    pool._begin(worker_count, name)  # noqa: SLF001  # users do not make one
    return pool


class SyncPool:
    """The workers of a plain thread; made by `open_sync_pool`.

    Thread safety: internally synchronized; other threads may call `run` while the block
    lasts.
    """

    __slots__ = ("__weakref__", "_failure", "_is_forked", "name", "registry")

    def __init__(self, *args: Never, **options: Never) -> None:
        raise made_by_opener("SyncPool", "with runtime.open_sync_pool", args, options)

    def _begin(self, worker_count: int, name: str) -> None:
        self.name: str = name  # immutable
        self._failure: BaseException | None = None  # atomic: a single store
        self._is_forked = False  # owner: the only thread of a forked child
        self.registry: Registry = Registry(  # immutable
            worker_count,
            name=name,
            spin_rounds=1 if is_gil_enabled() else SPIN_ROUNDS,
            on_failure=self._note_failure,
        )
        self.registry.start()
        forking.track(self)

    def __repr__(self) -> str:
        state = "closed" if self.registry.is_stopping else "open"
        return f"<runtime.SyncPool {self.name!r} {state}, {self.worker_count} workers>"

    @property
    def worker_count(self) -> int:
        """How many jobs run at the same time."""
        return self.registry.worker_count

    def run[*Ts, R](self, fn: Callable[[*Ts], R], *args: *Ts, **keywords: Never) -> R:
        """Run ``fn(*args)`` on a worker and block until it has ended.

        On one of the pool's own workers the call is made in place. A job of another
        pool, or of a `WorkerPool`, waits as inside `runtime.blocking`: another thread
        works in its place. If that job is asked to stop, so is this one.

        Ctrl-C withdraws the job, or sets its token and waits for its end.

        Raises:
          PoolClosedError: the block is over.
          BrokenWorkerError: this process was forked from the pool's.
          DeadlockError: called in a job, and as many jobs wait as the job's pool has
            spare threads.
        """
        check_sync_callable(fn, "pool.run")
        check_keywords(keywords, fn, "pool.run")
        self.check_open()
        worker = current_worker()
        if worker is not None and worker.registry is self.registry:
            return cast("R", job_context().run(called, fn, *args))
        with waiting_outside() as outer:
            return cast("R", self._run(fn, args, outer))

    def check_open(self) -> None:
        """Raise unless the pool takes work."""
        self._check_not_forked()
        if self.registry.is_stopping:
            raise PoolClosedError(self.name)

    def stop(self) -> None:
        """Tell the workers to end; in a forked child there are none."""
        forking.forget(self)
        if not self._is_forked:
            self.registry.stop()

    def join(self) -> None:
        """Wait for the workers, after `stop`."""
        if self._is_forked:
            return
        with waiting_outside():  # what still runs may wait for the caller's pool
            self.registry.join()

    def after_fork(self) -> None:
        """Give up everything in a forked child."""
        self._is_forked = True
        self.registry.after_fork()

    def _check_not_forked(self) -> None:
        if self._is_forked:
            raise BrokenWorkerError(
                f"pool {self.name!r} belongs to another process: this one was forked "
                "from it and has none of its workers; open a pool here"
            )

    def _run(
        self,
        fn: Callable[..., object],
        args: tuple[object, ...],
        outer: CancelToken | None,
    ) -> object:
        """Run the call on a worker; a job that waits for it has the outer token."""
        left = Latch()
        token = CancelToken()
        job = Job(fn, args, job_context(), token=token, sink=left.set)
        try:
            whole(self.registry.inject, job)
            while not left.wait(SIGNAL_STEP) and not self._is_forked:
                if outer is not None and outer.is_set:
                    self._stop(job)
        except BaseException:  # KeyboardInterrupt, or what a signal handler raised
            if job.pushed_ns:  # else it was not injected
                self._stop(job)
                left.wait()
            raise
        self._check_not_forked()
        answer, job.outcome = job.outcome, None
        if answer is not None:
            return answer.unwrap()
        if token.is_set:
            raise JobCancelled
        raise InternalError("the scheduler failed") from self._failure

    def _stop(self, job: Job) -> None:
        job.token.is_set = True
        self.registry.withdraw(job)

    def _note_failure(self, error: BaseException) -> None:
        self._failure = error
