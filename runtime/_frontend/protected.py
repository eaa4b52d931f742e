"""Ctrl-C stays out of our own code, and reaches the user's.

Trio raises `KeyboardInterrupt` at whatever line the Trio thread happens to be, in any
task, unless the code there is protected; then at the main task's next checkpoint. A
pool interrupted between two statements of its own would leave threads behind, or wait
for ever for what it has counted. So:

* a block is entered and left protected (`protected`); its body is the user's;
* a task of ours is started by `start_task`, which protects all it does;
* a call that counts something is decorated with Trio's `enable_ki_protection`;
* the user's function is called by `run_unprotected` or `call_unprotected`: it may
  loop for ever, and what it raises is taken for its own error;
* a wait that has to be waited to its end is one of `waiting_on`.

Layer: frontend.
"""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from functools import wraps
from types import TracebackType
from typing import NoReturn, override

import trio

__all__ = (
    "call_unprotected",
    "check_in_trio",
    "protected",
    "run_unprotected",
    "start_task",
)


def check_in_trio(what: str) -> None:
    """Raise RuntimeError unless called in a Trio thread."""
    if not trio.lowlevel.in_trio_run():
        raise RuntimeError(
            f"{what} needs Trio, and this thread does not run it; start the program "
            "with trio.run(main), or write instead: with runtime.open_sync_pool(): ..."
        )


@trio.lowlevel.disable_ki_protection
async def run_unprotected[*Ts, R](
    async_fn: Callable[[*Ts], Awaitable[R]], *args: *Ts
) -> R:
    """Run the user's async function as his own task would, Ctrl-C included."""
    return await async_fn(*args)


@trio.lowlevel.disable_ki_protection
def call_unprotected[*Ts, R](fn: Callable[[*Ts], R], *args: *Ts) -> R:
    """Call the user's function as his own code would, Ctrl-C included."""
    return fn(*args)


def start_task[*Ts](
    nursery: trio.Nursery,
    async_fn: Callable[[*Ts], Awaitable[object]],
    *args: *Ts,
    name: object = None,
) -> None:
    """Start a task of our own; it is protected but for what it runs unprotected."""
    nursery.start_soon(_run_protected, async_fn, args, name=name or async_fn)


@trio.lowlevel.enable_ki_protection
async def _run_protected(
    async_fn: Callable[..., Awaitable[object]], args: tuple[object, ...]
) -> None:
    await async_fn(*args)


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
