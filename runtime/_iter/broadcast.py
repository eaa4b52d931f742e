"""`runtime.broadcast`: call a function once on every worker.

No job can be addressed to a worker, so a *round* is a meeting: each other worker gets
a ticket, and a worker that has taken one calls the function and stays until every
worker has. So no worker takes two.

A worker that comes to start a round while another is going on serves that one first.
Else two rounds, each holding half of the workers, would wait for each other.

Layer: iter. Imports: `runtime._core`, `checks`, `place`.
"""

from collections.abc import Callable
from functools import partial
from threading import Lock
from typing import cast

from .._core import Job, Latch, Worker, current_worker, own_context
from .._errors import DeadlockError
from .checks import check_callable
from .place import run_on_worker

__all__ = ("broadcast", "broadcast_here")


def broadcast[*Ts, R](fn: Callable[[*Ts], R], *args: *Ts) -> list[R]:
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
    return run_on_worker(
        "runtime.broadcast()", "await pool.broadcast(fn)", broadcast_here, fn, args
    )


# The rounds that are going on, by the registry's identity.
_rounds: "dict[int, _Round]" = {}
_rounds_lock = Lock()  # no user code under it


def broadcast_here[R](fn: Callable[..., R], args: tuple[object, ...]) -> list[R]:
    """Broadcast from the calling worker."""
    check_callable("broadcast", fn)
    worker = current_worker()
    assert worker is not None
    _check_not_forked(worker)
    key = id(worker.registry)
    call = partial(fn, *args)
    while True:
        with _rounds_lock:
            current = _rounds.get(key)
            if current is None:
                mine = _rounds[key] = _Round(call, worker.registry.worker_count)
                break
        current.attend(worker)
    try:
        for _ in range(worker.registry.worker_count - 1):
            worker.registry.inject(Job(mine.attend_here, (), own_context()))
        mine.attend(worker)
    finally:
        with _rounds_lock:
            del _rounds[key]
    return cast("list[R]", mine.answer())


def _check_not_forked(worker: Worker) -> None:
    job = worker.job
    if job is None:
        return
    for index, other in worker.registry.running_jobs().items():
        if index != worker.index and other.token is job.token:
            raise DeadlockError(
                "broadcast() inside a fork: another worker runs the same job and may "
                "wait for this call, so it could not take part; call broadcast() "
                "before or after the fork"
            )


class _Round:
    """One broadcast.

    Thread safety: internally synchronized.
    """

    __slots__ = (
        "_call",
        "_errors",
        "_is_over",
        "_lock",
        "_missing",
        "_results",
        "_served",
    )

    def __init__(self, call: Callable[[], object], worker_count: int) -> None:
        self._call = call  # immutable
        self._is_over = Latch()  # immutable
        self._lock = Lock()  # atomic: acquire, release; no user code under it
        self._served: set[int] = set()  # guarded by: self._lock
        self._missing = worker_count  # guarded by: self._lock
        self._results: list[object] = [None] * worker_count  # each by its own worker
        self._errors: list[BaseException] = []  # guarded by: self._lock

    def attend_here(self) -> None:
        """Attend on the calling worker; the body of a ticket."""
        worker = current_worker()
        assert worker is not None
        self.attend(worker)

    def attend(self, worker: Worker) -> None:
        """Make this worker's call, if it has not made it, and wait for the others'."""
        with self._lock:
            is_new = worker.index not in self._served
            self._served.add(worker.index)
        if is_new:
            self._call_on(worker)
        self._is_over.wait()

    def _call_on(self, worker: Worker) -> None:
        error = None
        try:
            self._results[worker.index] = own_context().run(self._call)
        except BaseException as caught:  # an outcome, raised by whoever began
            error = caught
        with self._lock:
            if error is not None:
                self._errors.append(error)
            self._missing -= 1
            is_last = self._missing == 0
        if is_last:
            self._is_over.set()

    def answer(self) -> list[object]:
        """Return the results, or raise the failures; when it is over."""
        if self._errors:
            raise BaseExceptionGroup("a broadcast failed", self._errors)
        return self._results
