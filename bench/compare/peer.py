"""What a contender can do, and how the contenders of a situation are opened."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Protocol

__all__ = ("Peer", "PeerModule", "open_all")


class Peer(Protocol):
    """One way to run functions, called from a Trio task."""

    async def call[*Ts, R](self, fn: Callable[[*Ts], R], *args: *Ts) -> R:
        """Run one call and wait for its answer."""
        ...

    async def each[T, R](self, fn: Callable[[T], R], items: Sequence[T]) -> list[R]:
        """Run one call per item, as many at once as there are workers.

        Returns:
          The answers in the order of `items`.
        """
        ...


class PeerModule(Protocol):
    """The entry points of a file in this folder."""

    @property
    def NAME(self) -> str:
        """How the tables call it."""
        ...

    def open_peer(self, worker_count: int, /) -> AbstractAsyncContextManager[Peer]:
        """Open the peer with so many workers."""
        ...


async def open_all(
    stack: AsyncExitStack, modules: Iterable[PeerModule], worker_count: int
) -> dict[str, Peer]:
    """Open the peers for as long as the stack is open; return them by name."""
    return {
        module.NAME: await stack.enter_async_context(module.open_peer(worker_count))
        for module in modules
    }
