"""The worker pool as Trio's users see it.

Each method makes a piece of work, has the pool's `Intake` accept it, and waits or
returns a handle. What becomes of the work is followed in `intake` (bookkeeping and
the end), `call`, `batch`, `submission` and `mapping` (one kind of work each).

This file is long because the public docstrings are; there is little code in it.

Layer: frontend.
"""

import math
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any, Literal, Never, cast, overload

import outcome
import trio

from .._backends.captured import capturing
from .._errors import DeadlockError
from .batch import BatchCall, run_batch
from .call import Call, Poller
from .chunks import chunked_call, chunked_items_call
from .handle import Job
from .intake import Intake
from .items import check_many
from .loan import Loan
from .mapping import MapStream, open_map
from .options import (
    Limiter,
    OnCancel,
    OnCancelMany,
    OnError,
    Priority,
    check_async_callable,
    check_choice,
    check_count,
    check_keywords,
    check_least,
    check_priority,
    check_submission,
    check_sync_callable,
)
from .reports import PoolStatistics, ShutdownReport, statistics_of
from .shutdown import Shutdown
from .submission import Submission
from .token import token_within

__all__ = ("WorkerPool",)


class WorkerPool:
    """A place to send CPU-bound work; made by `open_worker_pool`.

    Thread safety: its methods belong to the Trio run that opened it; elsewhere they
    raise `WrongThreadError`, and after that run has ended `PoolClosedError`.
    `submit_nowait` may also be called inside one of the pool's own jobs, `statistics`
    anywhere.
    """

    __slots__ = ("__weakref__", "_intake", "_poller", "_shutdown")

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._poller = Poller()
        self._shutdown = Shutdown(intake)

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
        return self._intake.backend.worker_count

    # Async tasks

    @trio.lowlevel.enable_ki_protection
    async def spawn[*Ts](
        self,
        async_fn: Callable[[*Ts], Awaitable[object]],
        *args: *Ts,
        **keywords: Never,
    ) -> None:
        """Start an async function in a task of the pool.

        At most `worker_count` of these tasks run at a time and at most
        ``queue_capacity`` wait for their turn; beyond that this call waits. The
        task keeps the caller's context variables. If it fails, the pool's block is
        cancelled and raises its error in a group, as a nursery does.

        Raises:
          PoolClosedError: the pool was closed.
        """
        check_async_callable(async_fn, "spawn")
        check_keywords(keywords, async_fn, "spawn")
        self._intake.check_open("run(pool.spawn, async_fn, *args)")
        await self._intake.lane.spawn(async_fn, *args)

    @trio.lowlevel.enable_ki_protection
    def spawn_nowait[*Ts](
        self,
        async_fn: Callable[[*Ts], Awaitable[object]],
        *args: *Ts,
        **keywords: Never,
    ) -> None:
        """Start an async function in a task of the pool, without waiting.

        Raises:
          trio.WouldBlock: `spawn` would have to wait.
          PoolClosedError: the pool was closed.
        """
        check_async_callable(async_fn, "spawn_nowait")
        check_keywords(keywords, async_fn, "spawn_nowait")
        self._intake.check_open("run_sync(pool.spawn_nowait, async_fn, *args)")
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
        **keywords: Never,
    ) -> R:
        """Run ``fn(*args)`` on a worker and wait for its result.

        For work that keeps a core busy. For blocking input and output use
        `trio.to_thread.run_sync`; for many small items `spawn_parallel_batch`.

        Args:
          fn: A sync function. It runs outside Trio, in a copy of the caller's
            context variables.
          on_cancel: What the caller does if it is cancelled while the job runs:
            ``"wait"`` for the job's end, which `check_cancelled` can bring nearer;
            ``"abandon"`` the job: leave at once and let it run on unobserved; or
            ``"interrupt"`` it: have `JobInterrupted` raised inside it, and wait.
          priority: The lane the job waits in.
          limiter: Lends a token to the call until its job has ended, as for
            `trio.to_thread.run_sync`; None for no limit besides the pool's own.
          name: For reports; by default the function's qualified name.
          keywords: None are passed on; bind the function's by `functools.partial`.

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
        if keywords:
            check_keywords(keywords, fn, "spawn_cpu_work")
        if type(priority) is not Priority:
            check_priority(priority)
        check_choice(on_cancel, ("wait", "abandon", "interrupt"), "on_cancel")
        intake = self._intake
        intake.check_open()
        await trio.lowlevel.checkpoint_if_cancelled()
        loan = None if limiter is None else await Loan.take(limiter)
        places = intake.places
        try:
            if loan is not None:
                intake.check_open()
            if not places.try_take():
                await places.wait_taken()
        except BaseException:
            if loan is not None:
                loan.give_back()
            raise
        # Made only now: a task that waits for its place keeps no job alive.
        call = Call(
            intake,
            fn,
            args,
            on_cancel=on_cancel,
            lane=priority,
            loan=loan,
            name=name,
        )
        intake.track(call)
        if call.inject(self._poller) and await call.poll(self._poller):
            return cast("R", call.finish())
        return cast("R", await call.park())

    @trio.lowlevel.enable_ki_protection
    async def submit[*Ts, R](
        self,
        fn: Callable[[*Ts], R],
        *args: *Ts,
        on_cancel: OnCancelMany = "wait",
        priority: Priority = Priority.NORMAL,
        name: str | None = None,
        **keywords: Never,
    ) -> Job[R]:
        """Hand ``fn(*args)`` to the workers and return a handle at once.

        Waits only while ``queue_capacity`` jobs wait already. The pool's block waits
        for the job; if it fails and nobody calls `Job.wait`, the block raises its
        error in an `ExceptionGroup`.

        Args:
          fn: As for `spawn_cpu_work`, as are its arguments.
          on_cancel: What `Job.cancel`, or the pool's end, does to the job while it
            runs: ``"wait"`` for it to see its token, or ``"interrupt"`` it, too.
          priority: The lane the job waits in.
          name: For reports; by default the function's qualified name.

        Raises:
          PoolClosedError: the pool was closed before the job was accepted.
        """
        check_submission("submit", fn, keywords, priority, on_cancel)
        self._intake.check_open("run(pool.submit, fn, *args)")
        await trio.lowlevel.checkpoint()
        self._intake.check_open()
        if not self._intake.places.try_take():
            await self._intake.places.wait_taken()
        return self._submit(fn, args, on_cancel, priority, name, holds_place=True)

    @trio.lowlevel.enable_ki_protection
    def submit_nowait[*Ts, R](
        self,
        fn: Callable[[*Ts], R],
        *args: *Ts,
        on_cancel: OnCancelMany = "wait",
        priority: Priority = Priority.NORMAL,
        name: str | None = None,
        **keywords: Never,
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
        check_submission("submit_nowait", fn, keywords, priority, on_cancel)
        intake = self._intake
        if intake.is_inside_job():
            return self._submit(fn, args, on_cancel, priority, name, holds_place=False)
        intake.check_open("run_sync(pool.submit_nowait, fn, *args)")
        if not intake.places.try_take():
            raise trio.WouldBlock
        return self._submit(fn, args, on_cancel, priority, name, holds_place=True)

    def _submit[R](
        self,
        fn: Callable[..., R],
        args: tuple[object, ...],
        on_cancel: OnCancelMany,
        priority: Priority,
        name: str | None,
        *,
        holds_place: bool,
    ) -> Job[R]:
        submission = Submission(
            self._intake,
            fn,
            args,
            on_cancel=on_cancel,
            lane=priority,
            name=name,
            holds_place=holds_place,
        )
        accept = self._intake.inject if holds_place else self._intake.adopt
        accept(submission, submission)
        return Job(submission)

    # Many items

    @overload
    async def spawn_parallel_batch[T, R](
        self,
        items: Iterable[T],
        fn: Callable[[T], R],
        on_error: Literal["raise"] = "raise",
        *,
        on_cancel: OnCancelMany = "wait",
        priority: Priority = Priority.NORMAL,
    ) -> list[R]: ...
    @overload
    async def spawn_parallel_batch[T, R](
        self,
        items: Iterable[T],
        fn: Callable[[T], R],
        on_error: Literal["return"],
        *,
        on_cancel: OnCancelMany = "wait",
        priority: Priority = Priority.NORMAL,
    ) -> list[outcome.Maybe[R]]: ...
    @trio.lowlevel.enable_ki_protection
    async def spawn_parallel_batch[T, R](
        self,
        items: Iterable[T],
        fn: Callable[[T], R],
        on_error: OnError = "raise",
        *,
        on_cancel: OnCancelMany = "wait",
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
          on_cancel: Whether items that run when the batch is cancelled are only asked
            to stop, ``"wait"``, or are interrupted as well, ``"interrupt"``.
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
        check_many("spawn_parallel_batch", fn, items, options=(on_error, on_cancel))
        check_priority(priority)
        self._intake.check_open("run(pool.spawn_parallel_batch, items, fn)")
        make = partial(
            BatchCall,
            self._intake,
            fn,
            call=fn if on_error == "raise" else capturing(fn),
            on_cancel=on_cancel,
            lane=priority,
        )
        return cast("list[R]", await run_batch(self._intake, make, items))

    @overload
    async def spawn_chunked_parallel[T, R](
        self,
        items: Iterable[T],
        chunk_size: int,
        fn: Callable[[T], R],
        on_error: Literal["raise"] = "raise",
        *,
        takes_chunk: Literal[False] = False,
        on_cancel: OnCancelMany = "wait",
        priority: Priority = Priority.NORMAL,
    ) -> list[R]: ...
    @overload
    async def spawn_chunked_parallel[T, R](
        self,
        items: Iterable[T],
        chunk_size: int,
        fn: Callable[[T], R],
        on_error: Literal["return"],
        *,
        takes_chunk: Literal[False] = False,
        on_cancel: OnCancelMany = "wait",
        priority: Priority = Priority.NORMAL,
    ) -> list[outcome.Maybe[R]]: ...
    @overload
    async def spawn_chunked_parallel[T, R](
        self,
        items: Iterable[T],
        chunk_size: int,
        fn: Callable[[list[T]], Iterable[R]],
        on_error: Literal["raise"] = "raise",
        *,
        takes_chunk: Literal[True],
        on_cancel: OnCancelMany = "wait",
        priority: Priority = Priority.NORMAL,
    ) -> list[R]: ...
    @overload
    async def spawn_chunked_parallel[T, R](
        self,
        items: Iterable[T],
        chunk_size: int,
        fn: Callable[[list[T]], Iterable[R]],
        on_error: Literal["return"],
        *,
        takes_chunk: Literal[True],
        on_cancel: OnCancelMany = "wait",
        priority: Priority = Priority.NORMAL,
    ) -> list[outcome.Maybe[R]]: ...
    @trio.lowlevel.enable_ki_protection
    async def spawn_chunked_parallel(
        self,
        items: Iterable[Any],
        chunk_size: int,
        fn: Callable[[Any], Any],
        on_error: OnError = "raise",
        *,
        takes_chunk: bool = False,
        on_cancel: OnCancelMany = "wait",
        priority: Priority = Priority.NORMAL,
    ) -> list[Any]:
        """Call ``fn(item)`` for each item, ``chunk_size`` items at a time.

        As `spawn_parallel_batch`, but the caller says how many neighbours a worker
        takes at once, where that method measures it. With ``takes_chunk`` the function
        is one that is faster on several items: it is called with the list of them.

        Args:
          items: As for `spawn_parallel_batch`.
          chunk_size: Items per chunk, at least 1; the last may be shorter.
          fn: A sync function of one item; with ``takes_chunk`` of a list of items, that
            returns one result for each of them, in order.
          on_error: ``"raise"``: the first failure stops the rest. ``"return"``: an
            item's `Exception` becomes its result, a chunk's that of each of its items.
          takes_chunk: Whether the function takes the chunk.
          on_cancel: As for `spawn_parallel_batch`.
          priority: The lane the batch begins in.

        Returns:
          One result per item, in input order; with ``on_error="return"`` each is
          an `outcome.Value` or `outcome.Error`.

        Raises:
          ExceptionGroup: at least one item failed, or with ``takes_chunk`` a chunk, or
            its function returned too few or too many results.
          PoolClosedError: the pool was closed before the batch was accepted.
          TaskCancelled: the pool ended the batch.

        Cancellation: as for `spawn_parallel_batch`; a function that takes a chunk ends
          early only if it calls `check_cancelled`.
        """
        options = on_error, on_cancel
        check_many("spawn_chunked_parallel", fn, items, chunk_size, options=options)
        check_priority(priority)
        check_count(chunk_size, 1, "chunk_size")
        self._intake.check_open("run(pool.spawn_chunked_parallel, items, size, fn)")
        make = partial(
            chunked_call if takes_chunk else chunked_items_call,
            self._intake,
            fn,
            chunk_size,
            on_error=on_error,
            on_cancel=on_cancel,
            lane=priority,
        )
        return await run_batch(self._intake, make, items)

    @overload
    def map[T, R](
        self,
        fn: Callable[[T], R],
        iterable: Iterable[T] | AsyncIterable[T],
        *,
        max_in_flight: int = 64,
        ordered: bool = True,
        on_error: Literal["raise"] = "raise",
        on_cancel: OnCancelMany = "wait",
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
        on_cancel: OnCancelMany = "wait",
    ) -> AbstractAsyncContextManager[AsyncIterator[outcome.Maybe[R]]]: ...
    def map[T, R](
        self,
        fn: Callable[[T], R],
        iterable: Iterable[T] | AsyncIterable[T],
        *,
        max_in_flight: int = 64,
        ordered: bool = True,
        on_error: OnError = "raise",
        on_cancel: OnCancelMany = "wait",
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
            taking an item from it must not block. A generator is closed when the block
            is left; what else can be closed stays open.
          max_in_flight: Items that may be pulled and not yet handed out as results,
            at least 1. A larger number makes cheap items cheaper to send: with 1,024
            of them an item of 10 us costs the Trio thread some 2 us and the checkpoint.
          ordered: Whether results come in input order, or as they are ready.
          on_error: ``"raise"``: a failure stops the rest, and the iteration raises an
            `ExceptionGroup` after the results before it. ``"return"``: an item's
            `Exception` becomes its result, and results are `outcome.Value` or
            `outcome.Error`.
          on_cancel: Whether items that run when the block is left are only asked to
            stop, ``"wait"``, or are interrupted as well, ``"interrupt"``.

        Returns:
          A context manager. Leaving it early withdraws what is queued and waits for
          what runs. Results are iterated over once, by one task.

        Raises:
          PoolClosedError: the pool was closed.
          TaskCancelled: from the iteration, if the pool ended the map.

        An error raised by ``iterable`` itself is raised as it is, after the
        results of the items before it.
        """
        check_many("map", fn, iterable, options=(on_error, on_cancel))
        check_count(max_in_flight, 1, "max_in_flight")
        self._intake.check_open("run(pool.spawn_parallel_batch, items, fn)")
        stream = MapStream(
            self._intake,
            fn,
            max_in_flight=max_in_flight,
            ordered=ordered,
            collects_errors=on_error == "return",
            on_cancel=on_cancel,
        )
        return open_map(stream, iterable)

    # The end

    @trio.lowlevel.enable_ki_protection
    async def shutdown(self, grace: float = 5.0) -> ShutdownReport:
        """Close the pool: wait for its work, but not longer than ``grace`` seconds.

        What was accepted may finish within the grace period. Then the rest is
        cancelled: queued jobs are withdrawn, running ones have their token set
        and get a tenth of a second to see it, then those with
        ``on_cancel="interrupt"`` are interrupted. A job that goes on even so is left
        behind: its waiter gets `TaskCancelled`, its outcome is dropped, its thread
        ends when it returns, and it is named in the report and in the log. The workers
        end within the grace period, too; what they wait for is left behind likewise:
        threads that jobs have started in interpreters (``threads_left`` of the report).

        Calling it again returns the same report; where two tasks call it at the
        same time, the shorter grace counts. Work of the pool may call it, too: a task
        of `spawn`, or a job by `runtime.from_worker.run`. Then it is not waited for,
        goes on when it has the report, and is not in it; the pool's block waits.

        Args:
          grace: Seconds; `math.inf` waits for everything, 0 cancels at once.

        Raises:
          DeadlockError: ``grace`` is infinite, and the caller is itself work of the
            pool: a task of `spawn`, or what a job asked for.
        """
        check_least(grace, 0, "grace")
        self._intake.owner.check("run(pool.shutdown)")
        if grace == math.inf and token_within(self._intake) is not None:
            raise DeadlockError(
                "shutdown(math.inf) called by work of the pool may wait for work that "
                "waits for it; give a finite grace, such as shutdown(5.0)"
            )
        return await self._shutdown.run(grace)

    def statistics(self) -> PoolStatistics:
        """Return a frozen snapshot of what the pool did and has to do."""
        return statistics_of(self._intake)
