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
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from threading import Lock
from typing import Never, cast

from .._core import (
    CancelToken,
    Job,
    Parker,
    Registry,
    Worker,
    current_worker,
    own_context,
)
from .._errors import (
    BrokenWorkerError,
    DeadlockError,
    JobCancelled,
    JobInterrupted,
)
from .._frontend.token import WorkToken
from .._util import called, check_keywords
from .checks import check_callable
from .place import run_on_worker
from .scope import Ticket

__all__ = ("broadcast", "broadcast_here")

# A place in the answer, what the call returned and what it raised.
type _Made = tuple[int, object, BaseException | None]


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
    """The rounds that are going on, of all pools, and who waits for news of them.

    Whoever has news makes it true first and calls `tell` then; whoever waits is in
    `waiting` first and looks then. So no news is missed, and nobody waits for a lock,
    under which a finalizer could begin a round of its own.

    Thread safety: internally synchronized.
    """

    __slots__ = ("open", "waiting")

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Begin anew: also in a forked child."""
        # Used as ordered sets.
        self.open: dict[_Round, None] = {}  # atomic: one thread per key; list
        self.waiting: dict[Parker, None] = {}  # atomic: one thread per key; list

    def tell(self) -> None:
        """Have all that wait look again: a round has begun or is over."""
        # ATOMIC(dict-list): others come and go meanwhile.
        for parker in list(self.waiting):
            parker.unpark()


_rounds = _Rounds()

if hasattr(os, "register_at_fork"):
    # Of the parent's rounds none goes on there.
    os.register_at_fork(after_in_child=_rounds.clear)


def broadcast_here[R](fn: Callable[..., R], args: tuple[object, ...]) -> list[R]:
    """Broadcast from the calling worker."""
    check_callable("broadcast", fn)
    worker = current_worker()
    assert worker is not None
    _check_not_forked(worker)
    mine = _Round(partial(called, fn, *args), worker.registry)
    _rounds.open[mine] = None
    _rounds.tell()
    try:
        for _ in range(worker.registry.worker_count - 1):
            worker.registry.inject(Job(mine.attend, (), own_context()))
        mine.attend()
    finally:
        _rounds.open.pop(mine, None)  # a fork may have forgotten it
    return cast("list[R]", mine.answer())


def _check_not_forked(worker: Worker) -> None:
    job = worker.job
    if job is None:
        return
    registry = worker.registry
    askers = set(_askers_of(job.token))
    for index, other in registry.running_jobs().items():
        if index == worker.index:
            continue
        # Not one that leaves a scope, maybe after the scope's end.
        leaves = isinstance(other, Ticket) and not other.has_call
        if other.token is job.token and not leaves:
            raise DeadlockError(
                "broadcast() inside a fork: another worker runs the same job and may "
                "wait for this call, so it could not take part; call broadcast() "
                "before or after the fork"
            )
        # Who waits for what was asked for has a spare in its place.
        asker = registry._workers[index] if other.token in askers else None  # noqa: SLF001
        if asker is not None and not asker.is_waiting:
            raise DeadlockError(
                "broadcast() in a job that a fork asked for: another worker runs the "
                "other part of that fork and may wait for this call, so it could not "
                "take part; call broadcast() before or after the fork"
            )


def _askers_of(token: CancelToken) -> Iterator[CancelToken]:
    """Yield the work that may wait for this one to end, by way of Trio."""
    # RACE: work that ends meanwhile forgets who asked for it, so each is read once.
    while isinstance(token, WorkToken) and (asker := token.asker) is not None:
        token = asker
        yield asker


class _Round:
    """One broadcast.

    Thread safety: internally synchronized.
    """

    __slots__ = (
        "_call",
        "_made",
        "_places",
        "_process",
        "_registry",
        "_served",
    )

    def __init__(self, call: Callable[[], object], registry: Registry) -> None:
        count = registry.worker_count
        self._call = call  # immutable
        self._registry = registry  # immutable
        self._process = os.getpid()  # immutable
        # By index of the worker: who came for its call first, as one thread may twice.
        self._served: dict[int, object] = {}  # atomic: setdefault
        # In the answer; locked means taken.
        self._places = [Lock() for _ in range(count)]  # atomic: acquire
        # Calls that are over. atomic: append, len, iteration when all are
        self._made: deque[_Made] = deque()

    @property
    def is_over(self) -> bool:
        """Whether every worker has made its call."""
        return len(self._made) == len(self._places)

    def attend(self) -> None:
        """Make this worker's call and stay until the round is over; a ticket's body."""
        worker = current_worker()
        assert worker is not None
        while (due := self._wait_for_a_call(worker)) is not None:
            round_, place = due
            round_.make_call(place)

    def _wait_for_a_call(self, worker: Worker) -> "tuple[_Round, int] | None":
        """Return a round to serve, and the place in its answer; None: this is over."""
        parker = Parker()
        # ORDER: on the list before the look; else it may miss what comes after.
        _rounds.waiting[parker] = None
        try:
            while True:
                self._check_process()
                # ATOMIC(dict-list): others come and go meanwhile.
                for due in (self, *list(_rounds.open)):
                    place = due.take_place(worker)
                    if place is not None:
                        return due, place
                if self.is_over:
                    return None
                parker.park()
        finally:
            _rounds.waiting.pop(parker, None)  # a fork may have forgotten it

    def take_place(self, worker: Worker) -> int | None:
        """Take a place for a worker that has none yet."""
        if self._registry is not worker.registry or worker.index in self._served:
            return None
        claim = object()
        # ATOMIC(dict-setdefault): a finalizer may have come in between, and taken one.
        if self._served.setdefault(worker.index, claim) is not claim:
            return None
        # A spare's place is that of a worker that is away.
        places = range(len(self._places))
        own = [worker.index] if worker.index in places else []
        for place in (*own, *reversed(places)):
            # ATOMIC(lock-acquire): of several workers one takes it.
            if self._places[place].acquire(False):
                return place
        return None

    def make_call(self, place: int) -> None:
        """Make the calling worker's call."""
        error = result = None
        try:
            result = own_context().run(self._call)
        except BaseException as caught:  # an outcome, raised by whoever began
            error = caught
        self._check_process()
        self._made.append((place, result, error))
        if self.is_over:
            _rounds.tell()

    def _check_process(self) -> None:
        """Raise in a forked child, where no worker comes any more."""
        if os.getpid() != self._process:
            raise BrokenWorkerError(
                "this process was forked inside a broadcast, and has none of the "
                "workers that would have to take part"
            )

    def answer(self) -> list[object]:
        """Return the results, or raise the failures; when it is over."""
        results: list[object] = [None] * len(self._places)
        errors: list[BaseException] = []
        for place, result, error in self._made:
            results[place] = result
            if error is not None:
                errors.append(error)
        if not errors:
            return results
        errors = [error for error in errors if not issubclass(type(error), _ENDS)]
        if errors:
            raise BaseExceptionGroup("a broadcast failed", errors)
        raise JobCancelled  # the call was told to stop, and so is whoever made it
