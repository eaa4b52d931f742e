"""Ctrl-C stays out of a block's beginning and end.

Trio raises `KeyboardInterrupt` wherever the main task happens to be, unless the code
there is protected; then at its next checkpoint. A pool interrupted between two
statements of its own would leave threads behind. The body of the block is the
user's, and is not protected.

Layer: frontend. Imports: trio.
"""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from functools import wraps
from types import TracebackType
from typing import NoReturn, override

import trio

__all__ = ("check_in_trio", "finish_shielded", "protected")

_NOT_ASYNC_WITH = "this opens a block; write instead: async with ... as name:"


def check_in_trio(what: str) -> None:
    """Raise RuntimeError unless called in a Trio thread."""
    if not trio.lowlevel.in_trio_run():
        raise RuntimeError(
            f"{what} needs Trio, and this thread does not run it; start the program "
            "with trio.run(main), or write instead: with runtime.open_sync_pool(): ..."
        )


async def finish_shielded(wait: Callable[[], Awaitable[object]]) -> None:
    """Wait for what ends by itself, whatever is cancelled meanwhile.

    Ctrl-C is raised when the wait is over.

    Args:
      wait: Called again after each Ctrl-C.
    """
    interrupt: KeyboardInterrupt | None = None
    is_over = False
    with trio.CancelScope(shield=True):
        while not is_over:
            try:
                await wait()
                is_over = True
            except KeyboardInterrupt as error:
                interrupt = error
    if interrupt is not None:
        raise interrupt


def protected[**P, T](
    open_block: Callable[P, AbstractAsyncContextManager[T]],
) -> Callable[P, AbstractAsyncContextManager[T]]:
    """Protect the block that a function opens."""

    @wraps(open_block)
    def open_protected(*args: P.args, **kwargs: P.kwargs) -> _Protected[T]:
        return _Protected(open_block(*args, **kwargs))

    return open_protected


class _Protected[T](AbstractAsyncContextManager[T]):
    """A context manager, entered and left without `KeyboardInterrupt`."""

    __slots__ = ("_manager",)

    def __init__(self, manager: AbstractAsyncContextManager[T]) -> None:
        self._manager = manager

    def __enter__(self) -> NoReturn:
        raise TypeError(_NOT_ASYNC_WITH)

    def __exit__(self, *_error: object) -> None:
        """Be there, for Python asks for both."""

    def __aiter__(self) -> NoReturn:
        raise TypeError(_NOT_ASYNC_WITH)

    def __await__(self) -> NoReturn:
        raise TypeError(_NOT_ASYNC_WITH)

    @override
    @trio.lowlevel.enable_ki_protection
    async def __aenter__(self) -> T:
        check_in_trio("a pool")
        return await self._manager.__aenter__()

    @override
    @trio.lowlevel.enable_ki_protection
    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        return await self._manager.__aexit__(kind, error, traceback)
