"""A nursery whose body's own exception leaves it unwrapped.

Trio's nurseries put every exception into a group, so that two children that fail
are both seen. A block that is a resource to its user (a pool, a map) should
not change the type of what its body raises, as long as nothing else failed.

Layer: frontend.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from .._util import is_a

__all__ = ("open_nursery",)


@asynccontextmanager
async def open_nursery() -> AsyncIterator[trio.Nursery]:
    """Open a nursery; its body's error is wrapped only together with others."""
    body_error: BaseException | None = None
    try:
        async with trio.open_nursery() as nursery:
            try:
                yield nursery
            except BaseException as error:
                # Kept out of the nursery, which would wrap it, and would rebuild it
                # if it is a group itself.
                body_error = error
                nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        if body_error is None and _is_ctrl_c(group):
            body_error = group.exceptions[0]
        elif (own_error := _without_cancelled(body_error)) is None:
            raise  # cancelled because of these errors, or less important than they
        else:
            raise group.derive([own_error, *group.exceptions]) from None
    if body_error is not None:
        # Outside of the handler, so that the group does not become its context.
        try:
            raise body_error
        finally:
            del body_error  # else it and this frame keep each other alive


def _without_cancelled(error: BaseException | None) -> BaseException | None:
    """Return what of an error does not say that the body was cancelled."""
    if is_a(error, BaseExceptionGroup):
        cancelled, rest = error.split(trio.Cancelled)
        return error if cancelled is None else rest
    return None if is_a(error, trio.Cancelled) else error


def _is_ctrl_c(group: BaseExceptionGroup[BaseException]) -> bool:
    """Return whether nothing but a Ctrl-C came, while the nursery waited at its end."""
    return [type(error) for error in group.exceptions] == [KeyboardInterrupt]
