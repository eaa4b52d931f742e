"""Ctrl-C stays out of a block's beginning and end.

Trio raises `KeyboardInterrupt` wherever the main task happens to be, unless the code
there is protected; then at its next checkpoint. A pool interrupted between two
statements of its own would leave threads behind. The body of the block is the
user's, and is not protected.

Layer: frontend. Imports: trio.
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import wraps
from types import TracebackType
from typing import NoReturn, override

import trio

__all__ = ("check_in_trio", "protected")


def check_in_trio(what: str) -> None:
    """Raise RuntimeError unless called in a Trio thread."""
    if not trio.lowlevel.in_trio_run():
        raise RuntimeError(
            f"{what} needs Trio, and this thread does not run it; start the program "
            "with trio.run(main), or write instead: with runtime.open_sync_pool(): ..."
        )


def protected[**P, T](
    written: str,
) -> Callable[
    [Callable[P, AbstractAsyncContextManager[T]]],
    Callable[P, AbstractAsyncContextManager[T]],
]:
    """Protect the block that a function opens.

    Args:
      written: The line that opens the block, for errors.
    """

    def decorate(
        open_block: Callable[P, AbstractAsyncContextManager[T]],
    ) -> Callable[P, AbstractAsyncContextManager[T]]:
        @wraps(open_block)
        def open_protected(*args: P.args, **kwargs: P.kwargs) -> _Protected[T]:
            return _Protected(open_block(*args, **kwargs), written)

        return open_protected

    return decorate


class _Protected[T](AbstractAsyncContextManager[T]):
    """A context manager, entered and left without `KeyboardInterrupt`.

    Used as anything else it says what to write.
    """

    __slots__ = ("_has_begun", "_manager", "_written")

    def __init__(self, manager: AbstractAsyncContextManager[T], written: str) -> None:
        self._manager = manager
        self._written = written
        self._has_begun = False

    def _misuse(self) -> TypeError:
        return TypeError(f"this opens a block; write instead: {self._written}")

    def __enter__(self) -> NoReturn:
        raise self._misuse()

    def __exit__(self, *_error: object) -> None:
        """Be there, for Python asks for both."""

    def __iter__(self) -> NoReturn:
        raise self._misuse()

    def __aiter__(self) -> NoReturn:
        raise self._misuse()

    def __await__(self) -> NoReturn:
        raise self._misuse()

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(
            f"this opens a block, and only what the block gives may have {name!r}; "
            f"write instead: {self._written}",
            name=name,
            obj=self,
        )

    @override
    @trio.lowlevel.enable_ki_protection
    async def __aenter__(self) -> T:
        check_in_trio("a pool")
        if self._has_begun:
            raise RuntimeError(
                f"a block is opened only once; write it anew: {self._written}"
            )
        self._has_begun = True
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
