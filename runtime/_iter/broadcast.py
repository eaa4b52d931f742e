"""`runtime.broadcast`: call a function once on every worker.

No job can be addressed to a worker, so a *round* is a meeting: each other worker gets
a ticket, and a worker that has taken one calls the function and stays until every
worker has. So no worker takes two.

Meanwhile it serves every other round that is going on. So two rounds that each hold
half of the workers do not wait for each other, nor does a round for one that began
inside of it.

Where a worker is away and a spare works in its place, the spare makes its call, and has
its place in the answer.

Layer: iter.
"""

import os
from collections.abc import Callable
from functools import partial
from threading import Condition, Lock
from typing import Never, cast

from .._core import Job, Registry, Worker, current_worker, own_context
from .._errors import (
    BrokenWorkerError,
    DeadlockError,
    JobCancelled,
    JobInterrupted,
)
from .._util import called, check_keywords
from .checks import check_callable
from .place import run_on_worker
from .scope import Ticket

__all__ = ("broadcast", "broadcast_here")


def broadcast[*Ts, R](fn: Callable[[*Ts], R], *args: *Ts, **keywords: Never) -> list[R]:
    """Call ``fn(*args)`` once on every worker of the pool and wait for all.

    For what each worker needs to be told or has to hand over: to fill a `worker_local`,
    to read a counter. Workers that are busy come when their job has ended; those that
    come early wait for the last one.

    Inside a job, and in a plain thread inside `open_sync_pool`; on a pool the async
    twin is `WorkerPool.broadcast`.

    Returns:
      What each call returned, by worker index.

    Raises:
      NotOnWorkerError: called elsewhere.
      DeadlockError: called inside one half of a `join`, in a `scope` or in a parallel
        iterator, while another worker runs the same job: it may wait for this one.
      ExceptionGroup: at least one call failed.
    """
    check_keywords(keywords, fn, "runtime.broadcast")
    return run_on_worker(
        "runtime.broadcast()", "await pool.broadcast(fn)", broadcast_here, fn, args
    )


# What ends a call that was asked to stop, and is no failure.
_ENDS = JobCancelled, JobInterrupted


class _Rounds:
    """The rounds that are going on, of all pools.

    Thread safety: internally synchronized.
    """

    __slots__ = ("changed", "open")

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Begin anew: also in a forked child."""
        # Notified when a round has begun or is over; no user code under its lock.
        self.changed = Condition(Lock())
        self.open: list[_Round] = []  # guarded by: self.changed


_rounds = _Rounds()

if hasattr(os, "register_at_fork"):
    # Of the parent's rounds none goes on there, and it may have held the lock.
    os.register_at_fork(after_in_child=_rounds.clear)


def broadcast_here[R](fn: Callable[..., R], args: tuple[object, ...]) -> list[R]:
    """Broadcast from the calling worker."""
    check_callable("broadcast", fn)
    worker = current_worker()
    assert worker is not None
    _check_not_forked(worker)
    mine = _Round(partial(called, fn, *args), worker.registry)
    with _rounds.changed:
        _rounds.open.append(mine)
        _rounds.changed.notify_all()
    try:
        for _ in range(worker.registry.worker_count - 1):
            worker.registry.inject(Job(mine.attend, (), own_context()))
        mine.attend()
    finally:
        with _rounds.changed:
            if mine in _rounds.open:  # not after a fork
                _rounds.open.remove(mine)
    return cast("list[R]", mine.answer())


def _check_not_forked(worker: Worker) -> None:
    job = worker.job
    if job is None:
        return
    for index, other in worker.registry.running_jobs().items():
        if index == worker.index or other.token is not job.token:
            continue
        # Not one that leaves a scope, maybe after the scope's end.
        if not isinstance(other, Ticket) or other.has_call:
            raise DeadlockError(
                "broadcast() inside a fork: another worker runs the same job and may "
                "wait for this call, so it could not take part; call broadcast() "
                "before or after the fork"
            )


class _Round:
    """One broadcast.

    Thread safety: internally synchronized, by the lock of `_rounds`.
    """

    __slots__ = (
        "_call",
        "_errors",
        "_free",
        "_missing",
        "_process",
        "_registry",
        "_results",
        "_served",
    )

    def __init__(self, call: Callable[[], object], registry: Registry) -> None:
        self._call = call  # immutable
        self._registry = registry  # immutable
        self._process = os.getpid()  # immutable
        # Indices of workers. The rest is guarded by: _rounds.changed
        self._served: set[int] = set()
        self._free = list(range(registry.worker_count))  # places in the answer
        self._missing = registry.worker_count
        self._results: list[object] = [None] * registry.worker_count
        self._errors: list[BaseException] = []

    def attend(self) -> None:
        """Make this worker's call and stay until the round is over; a ticket's body."""
        worker = current_worker()
        assert worker is not None
        while (due := self._wait_for_a_call(worker)) is not None:
            round_, place = due
            round_.make_call(place)

    def _wait_for_a_call(self, worker: Worker) -> "tuple[_Round, int] | None":
        """Return a round to serve, and the place in its answer; None: this is over."""
        with _rounds.changed:
            while True:
                self._check_process()
                for due in (self, *_rounds.open):
                    place = due.take_place(worker)
                    if place is not None:
                        return due, place
                if self._missing == 0:
                    return None
                _rounds.changed.wait()

    def take_place(self, worker: Worker) -> int | None:
        """Take a place for a worker that has none yet; under the lock."""
        is_due = self._registry is worker.registry and worker.index not in self._served
        if not is_due or not self._free:
            return None
        self._served.add(worker.index)
        # A spare's place is that of a worker that is away.
        place = worker.index if worker.index in self._free else self._free[-1]
        self._free.remove(place)
        return place

    def make_call(self, place: int) -> None:
        """Make the calling worker's call."""
        error = result = None
        try:
            result = own_context().run(self._call)
        except BaseException as caught:  # an outcome, raised by whoever began
            error = caught
        self._check_process()
        with _rounds.changed:
            self._results[place] = result
            if error is not None:
                self._errors.append(error)
            self._missing -= 1
            _rounds.changed.notify_all()

    def _check_process(self) -> None:
        """Raise in a forked child, where no worker comes any more."""
        if os.getpid() != self._process:
            raise BrokenWorkerError(
                "this process was forked inside a broadcast, and has none of the "
                "workers that would have to take part"
            )

    def answer(self) -> list[object]:
        """Return the results, or raise the failures; when it is over."""
        if not self._errors:
            return self._results
        errors = [error for error in self._errors if not issubclass(type(error), _ENDS)]
        if errors:
            raise BaseExceptionGroup("a broadcast failed", errors)
        raise JobCancelled  # the call was told to stop, and so is whoever made it
