"""The async lane: Trio tasks of a pool, a bounded number at a time.

At most ``limit`` of them run, at most ``capacity`` wait for their turn. Each is a
task of its own from the start, so it keeps its spawner's context variables; while
it waits it is parked at a semaphore.

Layer: frontend.
"""

from collections.abc import Awaitable, Callable, Collection
from inspect import isawaitable
from typing import TYPE_CHECKING

import trio

from .._errors import CancelReason
from .options import callable_name
from .protected import run_unprotected, start_task
from .token import WorkToken, current_token

if TYPE_CHECKING:
    from .intake import Intake

__all__ = ("AsyncLane",)


class AsyncLane:
    """Runs async functions in a nursery, a bounded number at a time.

    Args:
      nursery: Where the tasks live; their errors are the nursery's.
      limit: How many run at a time.
      capacity: How many more may wait.
      intake: The pool that the tasks belong to.
      on_end: Called when a task has ended.

    Thread safety: externally synchronized, by the Trio thread.
    """

    __slots__ = ("_intake", "_nursery", "_on_end", "_places", "_running", "tokens")

    def __init__(
        self,
        nursery: trio.Nursery,
        *,
        limit: int,
        capacity: int,
        intake: "Intake",
        on_end: Callable[[], None],
    ) -> None:
        self._intake = intake  # immutable
        self._on_end = on_end  # immutable
        self._nursery = nursery  # immutable
        self._places = trio.Semaphore(limit + capacity)  # owner: the Trio thread
        self._running = trio.Semaphore(limit)  # owner: the Trio thread
        # One for each task that was started and has not ended.
        self.tokens: set[WorkToken] = set()  # owner: the Trio thread

    async def spawn[*Ts](
        self, async_fn: Callable[[*Ts], Awaitable[object]], *args: *Ts
    ) -> None:
        """Start ``async_fn(*args)`` in its turn; wait for a place first."""
        await self._places.acquire()
        self._start(async_fn, args)

    def spawn_nowait[*Ts](
        self, async_fn: Callable[[*Ts], Awaitable[object]], *args: *Ts
    ) -> None:
        """Start ``async_fn(*args)`` in its turn; `trio.WouldBlock` if all is full."""
        self._places.acquire_nowait()
        self._start(async_fn, args)

    def _start(
        self, async_fn: Callable[..., Awaitable[object]], args: tuple[object, ...]
    ) -> None:
        token = WorkToken(self._intake)
        token.asker = None  # nobody waits for a task of the lane
        token.scopes = {trio.CancelScope()}
        self.tokens.add(token)
        start_task(self._nursery, self._run, token, async_fn, args, name=async_fn)

    async def _run(
        self,
        token: WorkToken,
        async_fn: Callable[..., Awaitable[object]],
        args: tuple[object, ...],
    ) -> None:
        current_token.set(token)
        assert token.scopes is not None
        (scope,) = token.scopes
        try:
            with scope:
                async with self._running:
                    await run_unprotected(_run_checked, async_fn, args)
        finally:
            self._places.release()
            self.tokens.discard(token)
            self._on_end()

    def cancel(
        self, reason: CancelReason, *, but_not: Collection[WorkToken] = ()
    ) -> None:
        """Cancel the tasks, waiting ones included."""
        for token in self.tokens.difference(but_not):
            token.request_stop(reason)


async def _run_checked(
    async_fn: Callable[..., Awaitable[object]], args: tuple[object, ...]
) -> None:
    """Run the function; say what to write if it is not an async one."""
    awaitable: object = async_fn(*args)
    if not isawaitable(awaitable):
        name = callable_name(async_fn)
        raise TypeError(
            f"spawn needs an async function, but {name} returned {awaitable!r}; for a "
            f"sync function write instead: await pool.spawn_cpu_work({name}, ...)"
        )
    await awaitable
