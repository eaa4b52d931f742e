"""`runtime.scope`: fork-join of many.

A scope keeps its own queue of calls. For each call it pushes a *ticket* into the
scheduler: a job that takes a call of the scope and runs it, or finds none left. Who
leaves the block runs the scope's calls from that same queue, newest first, and parks
when there is none, until another comes or all have ended.

So a waiting worker runs calls of its scope and nothing else (work isolation, as in
`join`), without looking into anybody's deque.

Layer: iter.
"""

import os
from collections import deque
from collections.abc import Callable
from contextvars import Context
from types import TracebackType
from typing import Never, Self

from .._core import (
    CancelToken,
    Job,
    Parker,
    Registry,
    Worker,
    current_worker,
    job_context,
)
from .._errors import BrokenWorkerError, JobCancelled, JobInterrupted
from .._util import called, check_keywords, check_sync_callable
from .ctrl_c import whole
from .place import (
    SIGNAL_STEP,
    current_sync_pool,
    is_in_place,
    not_on_worker,
    worker_here,
)

__all__ = ("Scope", "scope")

type _Call = tuple[Callable[..., object], tuple[object, ...], Context]


def scope() -> "Scope":
    """Run many functions and wait for all of them at the end of a ``with`` block::

        with runtime.scope() as s:
            for part in parts:
                s.spawn(work, part)

    Inside a job, and in a plain thread inside `open_sync_pool`. In Trio a nursery
    with `WorkerPool.spawn_cpu_work` does the same. A job of a pool of interpreters
    shares its objects with no other worker: there all are called at the end of the
    block, one after another.

    Leaving the block runs what has not begun, and waits. A function may itself spawn
    into the scope. Once something has failed, what has not begun never does.

    Raises:
      NotOnWorkerError: called elsewhere.
      ExceptionGroup: from the end of the block, if a function failed, even a single
        one; the block's own exception is in it, too. If nothing else failed, the
        block's own exception leaves it as it is.
      JobCancelled: from the end of the block, if the job was asked to stop.
    """
    worker = worker_here()
    if worker is not None:
        token = None if worker.job is None else worker.job.token
        registry = None if is_in_place() else worker.registry
        return Scope(registry, token or CancelToken())
    pool = current_sync_pool()
    if pool is None:
        raise not_on_worker(
            "runtime.scope()",
            "async with trio.open_nursery() as nursery: "
            "nursery.start_soon(pool.spawn_cpu_work, fn)",
            "with runtime.open_sync_pool(), runtime.scope() as scope: scope.spawn(fn)",
        )
    pool.check_open()
    return Scope(pool.registry, CancelToken())


class Ticket(Job):
    """A worker's way into a scope: to run its oldest call, if there is one left."""

    __slots__ = ("has_call",)

    has_call: bool  # atomic: a single store, by the worker that runs it


class Scope:
    """Many calls with one end; made by `scope`.

    Thread safety: `spawn` is internally synchronized, and may be called by the
    functions of the scope on any worker; all else belongs to the block's thread.
    """

    __slots__ = (
        "_calls",
        "_errors",
        "_has_failed",
        "_is_cancelled",
        "_is_over",
        "_parker",
        "_process",
        "_registry",
        "_token",
        "_unfinished",
    )

    def __init__(self, registry: Registry | None, token: CancelToken) -> None:
        self._registry = registry  # immutable; None in place
        self._token = token  # immutable
        self._process = os.getpid()  # immutable
        self._parker = Parker()  # immutable
        self._calls: deque[_Call] = deque()  # atomic: append, pop, popleft
        # As long as calls are not over. atomic: append, pop, len
        self._unfinished: deque[None] = deque()
        self._errors: list[BaseException] = []  # atomic: append
        self._has_failed = False  # atomic: a single store; never cleared
        self._is_cancelled = False  # atomic: a single store; never cleared
        self._is_over = False  # owner: the block's thread

    def spawn[*Ts](
        self, fn: Callable[[*Ts], object], *args: *Ts, **keywords: Never
    ) -> None:
        """Have ``fn(*args)`` called by the end of the scope, on some worker.

        It runs in a copy of the caller's context variables; what it returns is
        dropped.

        Raises:
          RuntimeError: the block is over.
          BrokenWorkerError: this process was forked from the scope's.
        """
        check_sync_callable(fn, "scope.spawn", "nursery.start_soon({name}, ...)")
        check_keywords(keywords, fn, "scope.spawn")
        if self._is_over:
            raise RuntimeError("the block of this scope is over; spawn inside of it")
        self._check_process()
        call = fn, args, job_context()
        worker = current_worker()
        if worker is None:  # in a plain thread Ctrl-C must not lose the call
            whole(self._accept, call, worker)
        else:
            self._accept(call, worker)

    def _accept(self, call: _Call, worker: Worker | None) -> None:
        """Count a call and hand it to the workers."""
        self._unfinished.append(None)
        self._calls.append(call)
        self._parker.unpark()  # whoever waits for the end may run it
        if self._registry is None:
            return
        ticket = Ticket(self._run_oldest, (), Context(), token=self._token)
        ticket.has_call = False
        if worker is not None and worker.registry is self._registry:
            worker.push(ticket)
        else:
            self._registry.inject(ticket)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        try:
            self._finish(has_failed=error is not None)
        except KeyboardInterrupt as interrupt:  # before it had begun to wait
            self._errors.append(interrupt)
            self._finish(has_failed=True)
        finally:
            self._is_over = True
        errors, self._errors = self._errors, []
        is_cancelled = self._is_cancelled or self._token.is_set
        if is_cancelled and not errors and error is None:
            raise JobCancelled
        if errors:
            errors = [*([] if error is None else [error]), *errors]
            raise BaseExceptionGroup("a scope failed", errors) from None

    def _check_process(self) -> None:
        """Raise in a forked child, where nobody runs what was spawned."""
        if os.getpid() != self._process:
            raise BrokenWorkerError(
                "this scope belongs to another process: this one was forked from it "
                "and has none of its workers; open a pool and a scope here"
            )

    def _finish(self, *, has_failed: bool) -> None:
        """Run what is left and wait for what others run, whatever comes meanwhile."""
        if has_failed:
            self._has_failed = True
        self._check_process()
        while True:
            try:
                self._wait_finished()
                return
            except BaseException as error:  # Ctrl-C: stop, and wait all the same
                self._has_failed = True
                self._errors.append(error)

    def _wait_finished(self) -> None:
        on_worker = worker_here() is not None
        while True:
            # A plain thread only waits: the functions are the workers' to run.
            while on_worker and self._run(newest=True):
                pass
            if not self._unfinished:
                return
            self._parker.park(SIGNAL_STEP)

    def _run_oldest(self) -> None:
        """Run one call; the body of a ticket."""
        worker = current_worker()
        assert worker is not None and isinstance(worker.job, Ticket)
        self._run(newest=False, ticket=worker.job)

    def _run(self, *, newest: bool, ticket: Ticket | None = None) -> bool:
        """Take a call and run it; False if there was none."""
        # ATOMIC(deque-pop): of two that want the last call one gets it.
        try:
            fn, args, context = self._calls.pop() if newest else self._calls.popleft()
        except IndexError:
            return False
        if ticket is not None:
            ticket.has_call = True
        if not self._has_failed and not self._token.is_set:
            try:
                context.run(called, fn, *args)
            except (JobCancelled, JobInterrupted):
                self._is_cancelled = self._has_failed = True
            except BaseException as error:  # an outcome, raised at the block's end
                self._has_failed = True
                self._errors.append(error)
        del fn, args, context  # else they live until this frame's next call
        if ticket is not None:
            # ORDER: before the count; who finds the scope over may look.
            ticket.has_call = False
        self._unfinished.pop()
        # RACE: of two that are over both may find it empty; the token is one.
        if not self._unfinished:
            self._parker.unpark()
        return True
