"""The worker pool as Trio's users see it.

Each method makes a piece of work, has the pool's `Intake` accept it, and waits or
returns a handle. What becomes of the work is followed in `intake` (bookkeeping and
the end), `call`, `batch`, `handle` and `mapping` (one kind of work each).

This file is long because the public docstrings are; there is little code in it.

Layer: frontend. Imports: `runtime._backends`, `runtime._core`, trio.
"""

import math
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Sequence,
)
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from itertools import count
from typing import Literal, cast, overload

import outcome
import trio

from .. import _core
from .._backends import choose_backend
from .._backends.leaf import call_chunk
from .._errors import DeadlockError
from .._util import available_cores
from .batch import BatchCall, Chunks, as_sequence, flatten
from .call import Call, Poller
from .handle import Job
from .intake import Intake, MakeRegistry
from .loan import Loan
from .mapping import MapStream, open_map
from .nursery import open_nursery
from .options import (
    Limiter,
    OnCancel,
    OnError,
    Priority,
    check_choice,
    check_count,
    check_priority,
    check_sync_callable,
)
from .registries import registry_maker
from .reports import PoolStatistics, ShutdownReport
from .shutdown import shut_down
from .token import accepted_by
from .work import Verdict

__all__ = ("WorkerPool", "open_worker_pool", "run_pool")

_pool_numbers = count(1)


@asynccontextmanager
async def open_worker_pool(
    worker_count: int | None = None,
    *,
    backend: str = "auto",
    queue_capacity: int = 1000,
    name: str | None = None,
    preload: Sequence[str] = (),
    initializer: Callable[..., object] | None = None,
    initargs: tuple[object, ...] = (),
) -> AsyncIterator["WorkerPool"]:
    """Open a pool of workers for the length of an ``async with`` block.

    Leaving the block closes the pool: nothing more is accepted, what was accepted
    is finished and waited for, then the workers' threads end. If the block is left
    by an error or is cancelled, queued jobs are withdrawn, running ones have their
    token set, and are waited for. The block's own exception leaves it as it is,
    unless something else failed too; then both leave in a group.

    Args:
      worker_count: How many jobs run at the same time, at least 1; by default the
        cores this process may use (CPU affinity and control group respected).
      backend: How jobs are executed: by ``"threads"``, by ``"interpreters"``, one for
        each worker, or ``"auto"`` for the one that suits this build.
      queue_capacity: How many jobs may wait for a worker, at least 1. Who submits
        more waits.
      name: Shown in thread names, statistics and errors.
      preload: Names of modules that each worker imports before its first job.
      initializer: Called as ``initializer(*initargs)`` by each worker before its first
        job; only where each worker has globals of its own, that is with
        ``"interpreters"``.
      initargs: Its arguments.

    Raises:
      BackendUnavailableError: this interpreter cannot provide the backend.
      BrokenWorkerError: a worker's thread could not be started. Leaves the block, if
        a worker broke again and again, for example in its ``initializer``.
      CrossingError: ``initializer`` or ``initargs`` cannot cross.
    """
    if worker_count is None:
        worker_count = available_cores()
    check_count(worker_count, 1, "worker_count")
    check_count(queue_capacity, 1, "queue_capacity")
    pool_name = f"pool-{next(_pool_numbers)}" if name is None else name

    chosen = choose_backend(backend)
    make_registry = registry_maker(
        chosen,
        worker_count,
        name=pool_name,
        preload=preload,
        initializer=initializer,
        initargs=initargs,
    )
    async with run_pool(
        make_registry,
        name=pool_name,
        backend=chosen,
        queue_capacity=queue_capacity,
    ) as pool:
        yield pool


@asynccontextmanager
async def run_pool(
    make_registry: MakeRegistry, *, name: str, backend: str, queue_capacity: int
) -> AsyncIterator["WorkerPool"]:
    """Open a pool over any registry; the part that all pools share."""
    intake: Intake | None = None
    try:
        async with open_nursery() as nursery:
            intake = Intake(
                nursery, make_registry, name=name, queue_capacity=queue_capacity
            )
            async with intake.open():
                yield WorkerPool(intake, backend)
    except BaseException as error:
        if intake is not None:
            intake.raise_errors(together_with=error)
        raise
    intake.raise_errors()


class WorkerPool:
    """A place to send CPU-bound work; made by `open_worker_pool`.

    Thread safety: externally synchronized, by the Trio thread it was opened in.
    `submit_nowait` may also be called inside one of the pool's own jobs.
    """

    __slots__ = ("_backend", "_intake", "_poller", "_shutdown_lock", "_shutdown_report")

    def __init__(self, intake: Intake, backend: str) -> None:
        self._intake = intake
        self._backend = backend
        self._poller = Poller()
        self._shutdown_lock = trio.Lock()
        self._shutdown_report: ShutdownReport | None = None

    def __repr__(self) -> str:
        state = "closed" if self._intake.is_closing else "open"
        workers = f"{self.worker_count} workers"
        return f"<runtime.WorkerPool {self.name!r} {state}, {workers}>"

    @property
    def name(self) -> str:
        """What was given as ``name``, or a name of its own."""
        return self._intake.name

    @property
    def worker_count(self) -> int:
        """How many jobs run at the same time."""
        return self._intake.registry.worker_count

    # Async tasks

    async def spawn[*Ts](
        self, async_fn: Callable[[*Ts], Awaitable[object]], *args: *Ts
    ) -> None:
        """Start an async function in a task of the pool.

        At most `worker_count` of these tasks run at a time and at most
        ``queue_capacity`` wait for their turn; beyond that this call waits. The
        task keeps the caller's context variables. If it fails, the pool's block is
        cancelled and raises its error in a group, as a nursery does.

        Raises:
          PoolClosedError: the pool was closed.
        """
        self._intake.check_open()
        await self._intake.lane.spawn(async_fn, *args)

    def spawn_nowait[*Ts](
        self, async_fn: Callable[[*Ts], Awaitable[object]], *args: *Ts
    ) -> None:
        """Start an async function in a task of the pool, without waiting.

        Raises:
          trio.WouldBlock: `spawn` would have to wait.
          PoolClosedError: the pool was closed.
        """
        self._intake.check_open()
        self._intake.lane.spawn_nowait(async_fn, *args)

    # One job

    @trio.lowlevel.enable_ki_protection
    async def spawn_cpu_work[*Ts, R](
        self,
        fn: Callable[[*Ts], R],
        *args: *Ts,
        on_cancel: OnCancel = "wait",
        priority: Priority = Priority.NORMAL,
        limiter: Limiter | None = None,
        name: str | None = None,
    ) -> R:
        """Run ``fn(*args)`` on a worker and wait for its result.

        For work that keeps a core busy. For blocking input and output use
        `trio.to_thread.run_sync`; for many small items `spawn_parallel_batch`.

        Args:
          fn: A sync function. It runs outside Trio, in a copy of the caller's
            context variables.
          on_cancel: What the caller does if it is cancelled while the job runs:
            ``"wait"`` for the job's end, which `check_cancelled` can bring nearer, or
            ``"abandon"`` the job: leave at once and let it run on unobserved.
          priority: The lane the job waits in.
          limiter: Lends a token to the call until its job has ended, as for
            `trio.to_thread.run_sync`; None for no limit besides the pool's own.
          name: For reports; by default the function's qualified name.

        Returns:
          What ``fn`` returned.

        Raises:
          PoolClosedError: the pool was closed before the job was accepted.
          TaskCancelled: the pool ended the job. Not raised when the caller's own
            cancel scope was cancelled: that is `trio.Cancelled`.

        Cancellation: a checkpoint on every call. Cancelled before the job began,
          ``fn`` is never called. Cancelled while it runs, a value that still
          arrives is returned, not lost.

        Cost: a few microseconds in the Trio thread; waits while ``queue_capacity``
          jobs wait already.
        """
        check_sync_callable(fn, "spawn_cpu_work")
        check_priority(priority)
        check_choice(on_cancel, ("wait", "abandon"), "on_cancel")
        await trio.lowlevel.checkpoint_if_cancelled()
        loan = None if limiter is None else await Loan.take(limiter)
        places = self._intake.places
        try:
            if not places.try_take():
                await places.wait_taken()
        except BaseException:
            if loan is not None:
                loan.give_back()
            raise
        # Made only now: a task that waits for its place keeps no job alive.
        call = Call(
            self._intake,
            fn,
            args,
            on_cancel=on_cancel,
            lane=priority,
            loan=loan,
            name=name,
        )
        self._intake.track(call)
        if call.inject(self._poller) and await call.poll(self._poller):
            return cast("R", call.finish())
        return cast("R", await call.park())

    @trio.lowlevel.enable_ki_protection
    async def submit[*Ts, R](
        self,
        fn: Callable[[*Ts], R],
        *args: *Ts,
        priority: Priority = Priority.NORMAL,
        name: str | None = None,
    ) -> Job[R]:
        """Hand ``fn(*args)`` to the workers and return a handle at once.

        Waits only while ``queue_capacity`` jobs wait already. The pool's block waits
        for the job; if it fails and nobody calls `Job.wait`, the block raises its
        error in an `ExceptionGroup`.

        Raises:
          PoolClosedError: the pool was closed before the job was accepted.
        """
        check_sync_callable(fn, "submit")
        check_priority(priority)
        await trio.lowlevel.checkpoint()
        if not self._intake.places.try_take():
            await self._intake.places.wait_taken()
        return self._submit(fn, args, priority, name)

    def submit_nowait[*Ts, R](
        self,
        fn: Callable[[*Ts], R],
        *args: *Ts,
        priority: Priority = Priority.NORMAL,
        name: str | None = None,
    ) -> Job[R]:
        """Hand ``fn(*args)`` to the workers without waiting; see `submit`.

        Inside one of the pool's own jobs it never fails for want of a place: the
        job goes to the worker's own queue. The priority has no meaning there.

        Raises:
          trio.WouldBlock: ``queue_capacity`` jobs wait already.
          PoolClosedError: the pool was closed.
          JobCancelled: called inside a job of a pool that is being cancelled. Let
            it pass.
        """
        check_sync_callable(fn, "submit_nowait")
        check_priority(priority)
        intake = self._intake
        if intake.is_inside_job():
            job = Job(intake, fn, args, lane=priority, name=name, holds_place=False)
            intake.adopt(job, job)
            return job
        if not intake.places.try_take():
            raise trio.WouldBlock
        return self._submit(fn, args, priority, name)

    def _submit[R](
        self,
        fn: Callable[..., R],
        args: tuple[object, ...],
        priority: Priority,
        name: str | None,
    ) -> Job[R]:
        job = Job(self._intake, fn, args, lane=priority, name=name, holds_place=True)
        self._intake.inject(job, job)
        return job

    # Many items

    @overload
    async def spawn_parallel_batch[T, R](
        self,
        items: Iterable[T],
        fn: Callable[[T], R],
        on_error: Literal["raise"] = "raise",
        *,
        priority: Priority = Priority.NORMAL,
    ) -> list[R]: ...
    @overload
    async def spawn_parallel_batch[T, R](
        self,
        items: Iterable[T],
        fn: Callable[[T], R],
        on_error: Literal["return"],
        *,
        priority: Priority = Priority.NORMAL,
    ) -> list[outcome.Maybe[R]]: ...
    @trio.lowlevel.enable_ki_protection
    async def spawn_parallel_batch[T, R](
        self,
        items: Iterable[T],
        fn: Callable[[T], R],
        on_error: OnError = "raise",
        *,
        priority: Priority = Priority.NORMAL,
    ) -> list[R] | list[outcome.Maybe[R]]:
        """Call ``fn(item)`` for each item, on all workers, and wait for all.

        The scheduler cuts the items into pieces while it runs; there is no chunk
        size to choose. Other work is let through between two pieces.

        Args:
          items: A sequence, which is sliced where it is, or another iterable, which
            is made into a list first. It must not change meanwhile.
          fn: A sync function of one argument.
          on_error: ``"raise"``: the first failure stops the rest. ``"return"``: an
            item's `Exception` becomes its result.
          priority: The lane the batch begins in.

        Returns:
          One result per item, in input order; with ``on_error="return"`` each is
          an `outcome.Value` or `outcome.Error`.

        Raises:
          ExceptionGroup: at least one item failed. Holds the errors that happened
            before the rest was stopped, in input order.
          PoolClosedError: the pool was closed before the batch was accepted.
          TaskCancelled: the pool ended the batch.

        Cancellation: a checkpoint. Items that have not begun are withdrawn, those
          that run have their token set, and the caller waits for them.
        """
        check_sync_callable(fn, "spawn_parallel_batch")
        check_priority(priority)
        check_choice(on_error, ("raise", "return"), "on_error")
        await trio.lowlevel.checkpoint_if_cancelled()
        sequence = as_sequence(items)  # may raise, so before a place is taken
        if not self._intake.places.try_take():
            await self._intake.places.wait_taken()
        batch = BatchCall(
            self._intake,
            fn,
            sequence,
            collects_errors=on_error == "return",
            lane=priority,
        )
        self._intake.inject(batch, batch.first_piece)
        return cast("list[R] | list[outcome.Maybe[R]]", await batch.park())

    @trio.lowlevel.enable_ki_protection
    async def spawn_chunked_parallel[T, R](
        self,
        items: Iterable[T],
        chunk_size: int,
        fn: Callable[[list[T]], Iterable[R]],
        *,
        priority: Priority = Priority.NORMAL,
    ) -> list[R]:
        """Call ``fn(chunk)`` for lists of ``chunk_size`` items and wait for all.

        For functions that are faster on several items at once. For a function of
        one item use `spawn_parallel_batch`, which needs no chunk size.

        Args:
          items: As for `spawn_parallel_batch`.
          chunk_size: Items per chunk, at least 1; the last may be shorter.
          fn: Returns one result for each item of its chunk, in order.
          priority: The lane the batch begins in.

        Returns:
          One result per item, in input order.

        Raises:
          ExceptionGroup: at least one chunk failed, or its function returned too few or
            too many results.
          PoolClosedError: the pool was closed before the batch was accepted.
          TaskCancelled: the pool ended the batch.

        Cancellation: as for `spawn_parallel_batch`.
        """
        check_sync_callable(fn, "spawn_chunked_parallel")
        check_priority(priority)
        check_count(chunk_size, 1, "chunk_size")
        await trio.lowlevel.checkpoint_if_cancelled()
        chunks = Chunks(as_sequence(items), chunk_size)  # may raise: before a place
        if not self._intake.places.try_take():
            await self._intake.places.wait_taken()
        batch = BatchCall(
            self._intake,
            fn,
            chunks,
            call=partial(call_chunk, fn),
            finish=flatten,
            collects_errors=False,
            lane=priority,
        )
        self._intake.inject(batch, batch.first_piece)
        return cast("list[R]", await batch.park())

    @overload
    def map[T, R](
        self,
        fn: Callable[[T], R],
        iterable: Iterable[T] | AsyncIterable[T],
        *,
        max_in_flight: int = 64,
        ordered: bool = True,
        on_error: Literal["raise"] = "raise",
    ) -> AbstractAsyncContextManager[AsyncIterator[R]]: ...
    @overload
    def map[T, R](
        self,
        fn: Callable[[T], R],
        iterable: Iterable[T] | AsyncIterable[T],
        *,
        max_in_flight: int = 64,
        ordered: bool = True,
        on_error: Literal["return"],
    ) -> AbstractAsyncContextManager[AsyncIterator[outcome.Maybe[R]]]: ...
    def map[T, R](
        self,
        fn: Callable[[T], R],
        iterable: Iterable[T] | AsyncIterable[T],
        *,
        max_in_flight: int = 64,
        ordered: bool = True,
        on_error: OnError = "raise",
    ) -> (
        AbstractAsyncContextManager[AsyncIterator[R]]
        | AbstractAsyncContextManager[AsyncIterator[outcome.Maybe[R]]]
    ):
        """Stream items through ``fn``; results come out of an async iterator::

            async with pool.map(fn, source) as results:
                async for result in results:
                    ...

        For input of any length: memory is bounded by ``max_in_flight``.

        Args:
          fn: A sync function of one argument.
          iterable: Sync or async. A sync one is iterated in the Trio thread, so
            taking an item from it must not block.
          max_in_flight: Items that may be pulled and not yet handed out as results,
            at least 1. A larger number makes cheap items cheaper to send.
          ordered: Whether results come in input order, or as they are ready.
          on_error: ``"raise"``: a failure stops the rest, and the iteration raises an
            `ExceptionGroup` after the results before it. ``"return"``: an item's
            `Exception` becomes its result, and results are `outcome.Value` or
            `outcome.Error`.

        Returns:
          A context manager. Leaving it early withdraws what is queued and waits for
          what runs. Results are iterated over once, by one task.

        Raises:
          PoolClosedError: the pool was closed.
          TaskCancelled: from the iteration, if the pool ended the map.

        An error raised by ``iterable`` itself is raised as it is, after the
        results of the items before it.
        """
        check_sync_callable(fn, "map")
        check_count(max_in_flight, 1, "max_in_flight")
        check_choice(on_error, ("raise", "return"), "on_error")
        self._intake.check_open()
        stream = MapStream(
            self._intake,
            fn,
            max_in_flight=max_in_flight,
            ordered=ordered,
            collects_errors=on_error == "return",
        )
        return open_map(stream, iterable)

    # The end

    async def shutdown(self, grace: float = 5.0) -> ShutdownReport:
        """Close the pool: wait for its work, but not longer than ``grace`` seconds.

        What was accepted may finish within the grace period. Then the rest is
        cancelled: queued jobs are withdrawn, running ones have their token set
        and get a tenth of a second to see it. A job that goes on even so is left
        behind: its waiter gets `TaskCancelled`, its outcome is dropped, its thread
        ends when it returns, and it is named in the report and in the log.

        Calling it again returns the same report.

        Args:
          grace: Seconds; `math.inf` waits for everything, 0 cancels at once.

        Raises:
          DeadlockError: ``grace`` is infinite, and the caller is itself work of the
            pool: a task of `spawn`, or what a job asked for.
        """
        if not grace >= 0:
            raise ValueError(f"grace must be a number of seconds, not {grace!r}")
        if grace == math.inf and accepted_by.get() is self._intake:
            raise DeadlockError(
                "shutdown(math.inf) called by work of the pool would wait for its "
                "own end; give a finite grace, such as shutdown(5.0)"
            )
        async with self._shutdown_lock:
            if self._shutdown_report is None:
                self._shutdown_report = await shut_down(self._intake, grace)
            return self._shutdown_report

    def statistics(self) -> PoolStatistics:
        """Return a frozen snapshot of what the pool did and has to do."""
        intake = self._intake
        return PoolStatistics(
            name=self.name,
            worker_count=self.worker_count,
            backend=self._backend,
            core=_core.core,
            queued=len(intake.registry.injector),
            running=len(intake.registry.running_jobs()),
            in_flight=len(intake.work),
            abandoned=len(intake.abandoned),
            jobs_completed=intake.verdicts[Verdict.COMPLETED],
            jobs_failed=intake.verdicts[Verdict.FAILED],
            jobs_withdrawn=intake.verdicts[Verdict.WITHDRAWN],
            workers=intake.registry.statistics(),
        )
