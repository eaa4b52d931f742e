"""The pool as users get it: the front end's, with data parallelism on top.

The front end knows nothing of this layer, so the pool that it opens is given a second
handle here, which has the async twins.

Layer: iter.
"""

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import wraps
from typing import Any, Never, overload

from .._core import join as core_join
from .._errors import BackendUnavailableError
from .._frontend import inline, opening, pool
from .._frontend.options import check_keywords
from .._frontend.protected import protected
from .._util import made_by_opener
from .broadcast import broadcast_here
from .crossing import run_crossed
from .drive import run_chain
from .par import Awaiting, ParIter, awaited_chain
from .producers import Producer
from .progress import Bar
from .pulled import producer_of_async
from .sources import producer_of
from .terminals import Terminal
from .written import Steps, written

__all__ = ("WorkerPool", "inline_pool", "open_worker_pool")


class WorkerPool(pool.WorkerPool):
    __doc__ = pool.WorkerPool.__doc__

    __slots__ = ()

    def __init__(self, *args: Never, **options: Never) -> None:
        opener = "async with runtime.open_worker_pool"
        raise made_by_opener("WorkerPool", opener, args, options)

    def _check_threads(self, verb: str) -> None:
        """Raise where the halves of a job would be in different interpreters."""
        if not self._intake.backend.shares_objects:
            raise BackendUnavailableError(
                "interpreters",
                f"{verb} needs workers that share objects: open the pool with "
                "backend='threads'",
            )

    @overload
    async def join[A, B](
        self, f: Callable[[], A], g: Callable[[], B], /
    ) -> tuple[A, B]: ...
    @overload
    async def join[X, A, Y, B](
        self, f: Callable[[X], A], x: X, g: Callable[[Y], B], y: Y, /
    ) -> tuple[A, B]: ...
    async def join(self, *halves: Any) -> tuple[Any, Any]:
        """Return ``(f(), g())``, both called on workers, maybe at the same time.

        The async twin of `runtime.join`, arguments and errors included.

        Cancellation: as for `spawn_cpu_work`.
        """
        self._intake.check_open("run(pool.join, f, g)")
        self._check_threads("pool.join()")
        return await self.spawn_cpu_work(core_join, *halves, name="join")

    async def broadcast[*Ts, R](
        self, fn: Callable[[*Ts], R], *args: *Ts, **keywords: Never
    ) -> list[R]:
        """Call ``fn(*args)`` once on every worker and wait for all.

        The async twin of `runtime.broadcast`, result and errors included.

        Cancellation: as for `spawn_cpu_work`.
        """
        check_keywords(keywords, fn, "broadcast")
        self._intake.check_open("run(pool.broadcast, fn, *args)")
        self._check_threads("pool.broadcast()")
        return await self.spawn_cpu_work(broadcast_here, fn, args, name="broadcast")

    def par_iter[T](
        self, data: Iterable[T] | AsyncIterable[T]
    ) -> "ParIter[T, Awaiting]":
        """Begin a parallel chain whose terminal is awaited::

            total = await pool.par_iter(range(1000)).map(cost).sum()

        The async twin of `runtime.par_iter`, with the same adaptors and terminals.

        On a pool of interpreters the chain's functions have to be importable, and its
        items cross in stretches. What puts two totals together (``combine`` of a fold,
        the function of a reduce) is then called in the Trio thread, too.

        Args:
          data: What `runtime.par_iter` takes, or an async iterable, which is pulled
            from in Trio.

        Cancellation: as for `spawn_cpu_work`; the chain stops at its next leaf.
        """
        if isinstance(data, AsyncIterable):
            producer = producer_of_async(data)
        else:
            producer = producer_of(data)
        return awaited_chain(producer, self._run_chain)

    def _run_chain(
        self,
        steps: Steps,
        producer: Producer,
        terminal: Terminal,
        min_length: int,
        progress: Bar | None,
    ) -> Any:
        name = written("pool", steps, terminal.name)
        chain = producer, terminal, min_length, progress
        if not self._intake.backend.shares_objects:
            return run_crossed(self, *chain, name=name)
        return self.spawn_cpu_work(run_chain, *chain, name=name)


def _handle(opened: pool.WorkerPool) -> WorkerPool:
    """Return a second handle for an open pool."""
    handle = WorkerPool.__new__(WorkerPool)
    for name in pool.WorkerPool.__slots__:
        if name != "__weakref__":
            setattr(handle, name, getattr(opened, name))
    return handle


type _Opener[**P, Pool] = Callable[P, AbstractAsyncContextManager[Pool]]


def _as_opened_by[**P](
    open_pool: _Opener[P, pool.WorkerPool], written: str
) -> Callable[[Callable[[pool.WorkerPool], WorkerPool]], _Opener[P, WorkerPool]]:
    """Turn a function that makes a handle into one that opens a pool and gives it."""

    def decorate(
        make_handle: Callable[[pool.WorkerPool], WorkerPool],
    ) -> _Opener[P, WorkerPool]:
        @protected(written)
        @asynccontextmanager
        @wraps(open_pool)
        async def opened(
            *args: P.args, **kwargs: P.kwargs
        ) -> AsyncIterator[WorkerPool]:
            async with open_pool(*args, **kwargs) as plain:
                yield make_handle(plain)

        return opened

    return decorate


# Decorated functions and not variables: the latter have no type that every checker
# infers alike. Docstrings and signatures are those of the front end.


@_as_opened_by(
    opening.open_worker_pool, "async with runtime.open_worker_pool() as pool: ..."
)
def open_worker_pool(opened: pool.WorkerPool) -> WorkerPool:
    return _handle(opened)


@_as_opened_by(
    inline.inline_pool, "async with runtime.testing.inline_pool() as pool: ..."
)
def inline_pool(opened: pool.WorkerPool) -> WorkerPool:
    return _handle(opened)
