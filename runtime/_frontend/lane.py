"""The async lane: Trio tasks of a pool, a bounded number at a time.

At most ``limit`` of them run, at most ``capacity`` wait for their turn. Each is a
task of its own from the start, so it keeps its spawner's context variables; while
it waits it is parked at a semaphore.

Layer: frontend. Imports: `token`, trio.
"""

from collections.abc import Awaitable, Callable

import trio

from .token import accepted_by

__all__ = ("AsyncLane",)


class AsyncLane:
    """Runs async functions in a nursery, a bounded number at a time.

    Args:
      nursery: Where the tasks live; their errors are the nursery's.
      limit: How many run at a time.
      capacity: How many more may wait.
      owner: What `accepted_by` is set to in the tasks' contexts.
      on_end: Called when a task has ended.

    Thread safety: externally synchronized, by the Trio thread.
    """

    __slots__ = ("_nursery", "_on_end", "_owner", "_places", "_running", "_scopes")

    def __init__(
        self,
        nursery: trio.Nursery,
        *,
        limit: int,
        capacity: int,
        owner: object,
        on_end: Callable[[], None],
    ) -> None:
        self._owner = owner  # immutable
        self._on_end = on_end  # immutable
        self._nursery = nursery  # immutable
        self._places = trio.Semaphore(limit + capacity)  # owner: the Trio thread
        self._running = trio.Semaphore(limit)  # owner: the Trio thread
        self._scopes: set[trio.CancelScope] = set()  # owner: one per task

    @property
    def task_count(self) -> int:
        """How many tasks were started and have not ended."""
        return len(self._scopes)

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
        scope = trio.CancelScope()
        self._scopes.add(scope)
        self._nursery.start_soon(self._run, scope, async_fn, args, name=async_fn)

    async def _run(
        self,
        scope: trio.CancelScope,
        async_fn: Callable[..., Awaitable[object]],
        args: tuple[object, ...],
    ) -> None:
        accepted_by.set(self._owner)
        try:
            with scope:
                async with self._running:
                    await async_fn(*args)
        finally:
            self._places.release()
            self._scopes.discard(scope)
            self._on_end()

    def cancel(self) -> None:
        """Cancel every task, waiting ones included."""
        for scope in self._scopes:
            scope.cancel()
