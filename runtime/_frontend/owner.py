"""The Trio run that a pool belongs to, and the refusal of everybody else.

All of a pool's bookkeeping belongs to the thread of the Trio run that opened it. Each
public method compares thread ids at its entry, which costs nanoseconds; only a
difference is looked into. A run that has ended and a fork leave the thread id as it
is, so those who can tell (Trio's instrument `after_run`, `forking`) set a flag.

Layer: frontend.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import get_ident
from typing import override

import trio

from .._core import current_worker
from .._errors import BrokenWorkerError, PoolClosedError, WrongThreadError
from .token import WorkToken

__all__ = ("Owner",)


class _Run(trio.abc.Instrument):
    """One Trio run, for all its pools."""

    __slots__ = ("is_over", "owners")

    def __init__(self) -> None:
        self.is_over: bool = False  # atomic: a single store; never cleared
        self.owners: set[Owner] = set()  # owner: the Trio thread; of open pools

    @override
    def after_run(self) -> None:
        self.is_over = True
        for owner in list(self.owners):
            owner.end_with_run()


_run: trio.lowlevel.RunVar[_Run] = trio.lowlevel.RunVar("runtime.run")


def _current_run() -> _Run:
    try:
        return _run.get()
    except LookupError:
        run = _Run()
        trio.lowlevel.add_instrument(run)
        _run.set(run)
        return run


class Owner:
    """The thread and the run that a pool was opened in; made there.

    Args:
      pool_name: Of the pool, for errors.
      on_end: Called in that thread if the run ends before the pool's block does.

    Thread safety: internally synchronized.
    """

    __slots__ = ("_on_end", "_pool_name", "is_forked", "run", "thread")

    def __init__(self, pool_name: str, on_end: Callable[[], None]) -> None:
        self._pool_name = pool_name  # immutable
        self._on_end = on_end  # immutable
        self.run: _Run = _current_run()  # immutable
        self.thread: int = get_ident()  # immutable
        # This process was forked from the run's.
        self.is_forked: bool = False  # atomic: a single store; never cleared

    @property
    def is_gone(self) -> bool:
        """Whether nobody will ever work for the pool again in the run's thread."""
        return self.is_forked or self.run.is_over

    @contextmanager
    def watch_run(self) -> Iterator[None]:
        """Notice the end of the run during the block."""
        self.run.owners.add(self)
        try:
            yield
        finally:
            self.run.owners.discard(self)

    def end_with_run(self) -> None:
        """Give up the pool: the run has ended inside its block."""
        self._on_end()

    def note_forked(self) -> BrokenWorkerError:
        """Return what everybody is told from now on, in a forked child."""
        self.is_forked = True
        return self._forked_error()

    def check(self, instead: str) -> None:
        """Raise unless this is the run's thread and the run goes on.

        Args:
          instead: How to do the same with `runtime.from_worker` or
            `trio.from_thread`: ``run(...)`` or ``run_sync(...)``.

        Raises:
          BrokenWorkerError: this process was forked from the one with the run.
          PoolClosedError: the run is over.
          WrongThreadError: the run is another thread's.
        """
        if self.is_forked:
            raise self._forked_error()
        if self.run.is_over:
            raise PoolClosedError(self._pool_name)
        if get_ident() != self.thread:
            raise WrongThreadError(self._pool_name, _remedy(instead))

    def _forked_error(self) -> BrokenWorkerError:
        return BrokenWorkerError(
            f"pool {self._pool_name!r} belongs to another process: this one was forked "
            "from it and has none of its workers; open a pool here"
        )


def _remedy(instead: str) -> str:
    """Return the line to write in the calling thread."""
    if trio.lowlevel.in_trio_run():
        return "async with runtime.open_worker_pool() as pool: ..."
    worker = current_worker()
    if (
        worker is not None
        and worker.job is not None
        and isinstance(worker.job.token, WorkToken)
    ):
        return f"runtime.from_worker.{instead}"
    return f"trio.from_thread.{instead[:-1]}, trio_token=token)"
