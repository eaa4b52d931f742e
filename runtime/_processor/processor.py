"""`ParallelProcessor`: streams of CPU-bound requests, on all cores.

Each public method makes requests and a receiver for their answers; what happens in
between is in `engine`.

Layer: processor.
"""

import math
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Hashable,
    Iterable,
)
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
)
from functools import partial
from inspect import isasyncgenfunction, iscoroutinefunction, isroutine
from itertools import count
from threading import get_ident
from types import TracebackType
from typing import Any, Literal, NoReturn, Self, cast, overload

import outcome
import trio

from .._core import HistogramSnapshot, sync
from .._errors import CancelReason
from .._frontend.nursery import open_nursery
from .._frontend.opening import open_worker_pool
from .._frontend.options import (
    OnError,
    Priority,
    callable_name,
    check_async_callable,
    check_choice,
    check_items,
    check_kind,
    check_sync_callable,
)
from .._frontend.patience import wait_to_the_end
from .._frontend.pool import WorkerPool
from .._frontend.protected import run_unprotected
from .batch import Handler
from .caller import Caller
from .config import ParallelConfig
from .engine import Engine
from .gather import PROCESS, Gathering, as_list
from .loading import check_loads
from .maker import DeadlineOption, PriorityOption, RequestMaker
from .monitor import PerformanceMonitor
from .stats import ProcessingStatistics
from .stream import ResponseStream, open_stream

__all__ = ("ParallelProcessor",)

_numbers = count(1)

_WRITTEN = "async with runtime.ParallelProcessor(...) as processor:"


class ParallelProcessor[T, R]:
    """Answers requests with a CPU-bound handler, on all cores, within a bound::

        async with runtime.ParallelProcessor(handler) as processor:
            outcomes = await processor.execute_parallel_batch(requests)

    Requests of all callers wait in one queue with three lanes and go to the workers in
    batches. Each request has one outcome: `outcome.Value`, or `outcome.Error`
    with the handler's own error, or with `TaskCancelled` if it was withdrawn, expired
    or timed out, or with `BackpressureExceeded` if the bound left no room for it.

    Leaving the block answers what was accepted, then closes the pool. If the block is
    left by an error or is cancelled, what has not begun is withdrawn, and what runs
    is waited for.

    Args:
      handler: A sync function of one request, called on a worker; or, with
        ``takes_batch``, a function of a list of requests that returns one response for
        each, in order.
      config: How it works; by default a `ParallelConfig` with nothing changed.
      takes_batch: Whether the handler takes a list. If it raises, each request of that
        list has the error. It runs in the context variables of whoever
        brought the requests, if that is one producer, else of who opened the block.
      prepare: An async function that is given each accepted request, in Trio, and
        returns what the handler is given.
      finish: An async function that is given each response, in Trio, and returns what
        the outcome holds.
      pool: A pool to use instead of one of its own. It must stay open for longer.
      name: Shown in errors, statistics and metrics; by default ``thread_name_prefix``
        of the configuration and a number.

    Where the pool's workers are interpreters, the handler, the requests and the
    responses have to cross. A request has a `CrossingError` as its outcome if it or its
    response cannot; if the handler cannot, opening the block raises it.

    Thread safety: as for `WorkerPool`; `statistics` from any thread.
    """

    @overload
    def __init__(
        self,
        handler: Callable[[T], R],
        config: ParallelConfig | None = None,
        *,
        takes_batch: Literal[False] = False,
        prepare: Callable[[Any], Awaitable[T]] | None = None,
        finish: Callable[[R], Awaitable[Any]] | None = None,
        pool: WorkerPool | None = None,
        name: str | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self,
        handler: Callable[[list[T]], Iterable[R]],
        config: ParallelConfig | None = None,
        *,
        takes_batch: Literal[True],
        prepare: Callable[[Any], Awaitable[T]] | None = None,
        finish: Callable[[R], Awaitable[Any]] | None = None,
        pool: WorkerPool | None = None,
        name: str | None = None,
    ) -> None: ...
    def __init__(
        self,
        handler: Callable[[T], R] | Callable[[list[T]], Iterable[R]],
        config: ParallelConfig | None = None,
        *,
        takes_batch: bool = False,
        prepare: Callable[[Any], Awaitable[T]] | None = None,
        finish: Callable[[R], Awaitable[Any]] | None = None,
        pool: WorkerPool | None = None,
        name: str | None = None,
    ) -> None:
        _check_handler(handler)
        for hook, option in ((prepare, "prepare"), (finish, "finish")):
            if hook is not None:
                check_async_callable(hook, option)
        check_kind(config, ParallelConfig, "config")
        check_kind(pool, WorkerPool, "pool")
        self._config = ParallelConfig() if config is None else config
        prefix = self._config.thread_name_prefix
        self._name = f"{prefix}-{next(_numbers)}" if name is None else name
        self._handler = Handler(handler, takes_batch=takes_batch)
        self._prepare = prepare
        self._finish = finish
        self._given_pool = pool
        self._monitor: PerformanceMonitor | None = None
        self._stack = AsyncExitStack()
        self._engine_or_none: Engine | None = None
        self._pool: WorkerPool | None = None
        self._opened_ns = 0
        self._busy_before_ns: tuple[int, ...] = ()

    def __repr__(self) -> str:
        state = "not open"
        if self._engine_or_none is not None:
            state = "closed" if self._engine_or_none.is_closing else "open"
        handler = callable_name(self._handler.fn)
        return f"<runtime.ParallelProcessor {self._name!r} of {handler}, {state}>"

    @property
    def name(self) -> str:
        """What was given as ``name``, or a name of its own."""
        return self._name

    @property
    def config(self) -> ParallelConfig:
        """How it works."""
        return self._config

    def with_performance_monitor(self, monitor: PerformanceMonitor) -> Self:
        """Have a monitor told of each batch; returns the processor itself."""
        self._monitor = monitor
        if self._engine_or_none is not None:
            self._engine_or_none.observer.monitor = monitor
        return self

    # The block

    def __enter__(self) -> NoReturn:
        raise TypeError(f"this opens a block; write instead: {_WRITTEN}")

    def __exit__(self, *_error: object) -> None:
        """Be there, for Python asks for both."""

    def __await__(self) -> NoReturn:
        raise TypeError(f"this opens a block; write instead: {_WRITTEN}")

    @trio.lowlevel.enable_ki_protection
    async def __aenter__(self) -> Self:
        """Open the processor, and its pool if it has one of its own."""
        if self._engine_or_none is not None:
            raise RuntimeError(
                f"processor {self._name!r} was opened before, and opens only once; "
                f"write instead: {_WRITTEN}"
            )
        await self._stack.enter_async_context(self._opened())
        return self

    @trio.lowlevel.enable_ki_protection
    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        """Answer what was accepted, or withdraw it if the block failed."""
        return await self._stack.__aexit__(exc_type, exc, traceback)

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[None]:
        async with self._open_pool() as pool, open_nursery() as nursery:
            pool._intake.owner.check("run(...)")  # noqa: SLF001  # see below
            crosses = not pool._intake.backend.shares_objects  # noqa: SLF001
            if crosses:
                await check_loads(pool, self._handler.fn)
            engine = Engine(
                self._name,
                self._handler,
                self._config,
                pool._intake,  # noqa: SLF001  # a layer above, one system
                nursery,
                prepare=self._prepare,
                finish=self._finish,
                crosses=crosses,
            )
            engine.observer.monitor = self._monitor
            self._engine_or_none, self._pool = engine, pool
            self._opened_ns = sync.clock_ns()
            workers = pool.statistics().workers
            self._busy_before_ns = tuple(worker.busy_ns for worker in workers)
            try:
                yield
                await engine.drain()
            except BaseException:
                engine.cancel(CancelReason.CLOSED)  # REQ-6 end
                await wait_to_the_end(engine.patience, engine.drain)
                raise
            finally:
                engine.close()

    @asynccontextmanager
    async def _open_pool(self) -> AsyncIterator[WorkerPool]:
        if self._given_pool is not None:
            yield self._given_pool
            return
        async with open_worker_pool(
            self._config.worker_count, backend=self._config.backend, name=self._name
        ) as pool:
            yield pool

    @property
    def _engine(self) -> Engine:
        """The engine, for the Trio run it belongs to."""
        engine = self._engine_or_none or self._opened_engine()
        if get_ident() != engine.owner.thread:
            engine.owner.check("run(processor.execute, request)")
        return engine

    def _opened_engine(self) -> Engine:
        if self._engine_or_none is None:
            raise RuntimeError(
                f"processor {self._name!r} is not open; write instead: {_WRITTEN}"
            )
        return self._engine_or_none

    # Requests

    @trio.lowlevel.enable_ki_protection
    async def execute(
        self,
        request: T,
        *,
        priority: Priority = Priority.NORMAL,
        deadline: float = math.inf,
        timeout: float | None = None,
        producer: Hashable = None,
    ) -> R:
        """Have one request answered, and return the handler's response.

        Args:
          request: What the handler is given.
          priority: The lane the request waits in.
          deadline: Trio's time after which the request does not begin any more.
          timeout: Seconds until the answer is due; by default the configuration's.
          producer: Who brings it. Producers take turns, so that one who brings much
            does not hold up the others; all who give none are one producer.

        Raises:
          BackpressureExceeded: the bound was reached, and the configuration says to
            refuse, or a newer request took this one's place.
          TaskCancelled: the request expired, timed out or was ended by the processor.
            Not raised when the caller's own cancel scope was cancelled: that is
            `trio.Cancelled`.
          PoolClosedError: the processor was closed.

        Cancellation: a checkpoint on every call. Cancelled before it began, the request
          is withdrawn. Cancelled while it runs, its end is waited for; if it is alone
          in its batch its token is set.
        """
        engine = self._engine
        await trio.lowlevel.checkpoint_if_cancelled()
        caller = Caller(engine)
        maker = RequestMaker(
            engine,
            caller,
            ("execute", producer),
            priority=priority,
            deadline=deadline,
            timeout=timeout,
        )
        made = maker.make(request)
        if not engine.offer(made):
            await engine.admit(made)
        return cast("R", await caller.wait(made))

    @trio.lowlevel.enable_ki_protection
    async def execute_parallel_batch(
        self,
        requests: Iterable[T],
        *,
        priority: PriorityOption = Priority.NORMAL,
        deadline: DeadlineOption = math.inf,
    ) -> list[outcome.Maybe[R]]:
        """Have all requests answered, and wait for the last of them.

        More requests than the bound are admitted in pieces, whatever the configuration
        says of the bound.

        Args:
          requests: Any number.
          priority: The lane they wait in, or a function that tells it by request.
          deadline: Trio's time after which they do not begin any more, or a function
            that tells it by request.

        Returns:
          One outcome per request, in input order.

        Raises:
          PoolClosedError: the processor was closed.

        Cancellation: a checkpoint. What has not begun is withdrawn; the caller waits
          for what runs.
        """
        return await self._gather(requests, priority, deadline, None)

    @trio.lowlevel.enable_ki_protection
    async def execute_chunked_parallel(
        self,
        requests: Iterable[T],
        *,
        priority: PriorityOption = Priority.NORMAL,
        deadline: DeadlineOption = math.inf,
    ) -> list[outcome.Maybe[R]]:
        """Have all requests answered in batches of exactly ``batch_size`` neighbours.

        As `execute_parallel_batch`, for a handler that is better off with batches of
        one size. Only the last batch is shorter, and those that lost a request to its
        deadline or that are tried again. A bound that is smaller than the batch counts
        as large enough for one.
        """
        return await self._gather(requests, priority, deadline, self._config.batch_size)

    async def _gather(
        self,
        requests: Iterable[T],
        priority: PriorityOption,
        deadline: DeadlineOption,
        chunk_size: int | None,
    ) -> list[outcome.Maybe[R]]:
        engine = self._engine
        engine.check_open()
        await trio.lowlevel.checkpoint_if_cancelled()
        values = as_list(requests)
        if not values:
            await trio.lowlevel.checkpoint()
            return []
        gathering: Gathering[R] = Gathering(
            engine,
            values,
            priority=priority,
            deadline=deadline,
            chunk_size=chunk_size,
        )
        return await gathering.run()

    def process(
        self,
        requests: Iterable[T] | AsyncIterable[T],
        *,
        ordered: bool = True,
        on_error: OnError = "return",
        priority: PriorityOption = Priority.NORMAL,
        deadline: DeadlineOption = math.inf,
    ) -> AbstractAsyncContextManager[AsyncIterator[outcome.Maybe[R]]]:
        """Have a stream of requests answered::

            async with processor.process(requests) as responses:
                async for response in responses:
                    ...

        Args:
          requests: Any iterable, async iterable or Trio receive channel. A sync one is
            iterated in the Trio thread, so taking from it must not block.
          ordered: Whether outcomes come in input order, or as they are ready.
          on_error: ``"return"``: each request has its outcome. ``"raise"``: the first
            error ends the iteration with an `ExceptionGroup`.
          priority: The lane they wait in, or a function that tells it by request.
          deadline: Trio's time after which they do not begin any more, or a function
            that tells it by request.

        Returns:
          A context manager. Leaving it early withdraws what has not begun and waits for
          what runs. The outcomes are iterated over once, by one task.

        Raises:
          PoolClosedError: the processor was closed.

        An error raised by ``requests`` itself is raised as it is, after the outcomes of
        the requests before it.
        """
        check_choice(on_error, ("raise", "return"), "on_error")
        check_items(requests, PROCESS, None)
        engine = self._engine
        engine.check_open()
        stream: ResponseStream[R] = ResponseStream(
            engine,
            ordered=ordered,
            on_error=on_error,
            priority=priority,
            deadline=deadline,
        )
        return open_stream(engine, stream, requests)

    @trio.lowlevel.enable_ki_protection
    async def process_into(
        self,
        requests: Iterable[T] | AsyncIterable[T],
        send_channel: trio.abc.SendChannel[outcome.Maybe[R]],
        *,
        ordered: bool = True,
        on_error: OnError = "return",
        priority: PriorityOption = Priority.NORMAL,
        deadline: DeadlineOption = math.inf,
    ) -> None:
        """Have a stream of requests answered, and send the outcomes to a channel.

        As `process`. The channel is left open. A receiver that is slow holds up the
        requests, through the bound.
        """
        async with self.process(
            requests,
            ordered=ordered,
            on_error=on_error,
            priority=priority,
            deadline=deadline,
        ) as responses:
            async for response in responses:
                await run_unprotected(send_channel.send, response)

    # Numbers

    def statistics(self) -> ProcessingStatistics:
        """Return a frozen snapshot of what was done and is to do."""
        engine, pool = self._opened_engine(), self._pool
        assert pool is not None
        counts, tallies = engine.counts, engine.tallies
        pool_statistics = pool.statistics()
        elapsed_ns = sync.clock_ns() - self._opened_ns
        busy = zip(pool_statistics.workers, self._busy_before_ns, strict=True)
        return ProcessingStatistics(
            name=self._name,
            elapsed_ns=elapsed_ns,
            accepted=counts.accepted,
            processed=counts.processed,
            failed=counts.failed,
            withdrawn=counts.withdrawn,
            dropped=counts.dropped,
            refused=counts.refused,
            retried=counts.retried,
            in_flight=counts.in_flight,
            queued=len(engine.lanes),
            batches=sum(tally.batches for tally in tallies),
            useful_ns=sum(tally.useful_ns for tally in tallies),
            batch_ns=sum(tally.batch_ns for tally in tallies),
            queue_ns=sum(tally.queue_ns for tally in tallies),
            latency_ns=sum(tally.latency_ns for tally in tallies),
            queue_latency=HistogramSnapshot.merge(
                tally.queue_latency.snapshot() for tally in tallies
            ),
            run_time=HistogramSnapshot.merge(
                tally.run_time.snapshot() for tally in tallies
            ),
            latency=HistogramSnapshot.merge(
                tally.latency.snapshot() for tally in tallies
            ),
            worker_utilization=tuple(
                min(1.0, (worker.busy_ns - before) / elapsed_ns)
                for worker, before in busy
            ),
            jobs_stolen=pool_statistics.jobs_stolen,
        )


def _check_handler(handler: object) -> None:
    """Raise the misuse error for what cannot be a handler."""
    asked = handler.func if isinstance(handler, partial) else handler
    called = asked if isroutine(asked) else getattr(asked, "__call__", None)  # noqa: B004
    if iscoroutinefunction(called) or isasyncgenfunction(called):
        name = callable_name(cast("Callable[..., object]", asked))
        raise TypeError(
            f"a handler must be a sync function, for it runs on a worker, but {name} "
            f"is async; write instead: def {name}(request): ...; what has to be "
            "awaited goes to prepare= and finish=, which run in Trio"
        )
    check_sync_callable(handler, "ParallelProcessor")
