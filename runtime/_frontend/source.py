"""Where a `map` or a stream takes its items from.

A generator ends with the block that takes from it: nobody can go on with it, for items
were pulled that never came out. What else can be closed (a file, a channel) stays
open, for whoever made it may have more to do with it.

Layer: frontend.
"""

from collections.abc import AsyncGenerator, Generator, Iterable

import trio

from .._core import sync
from .protected import call_unprotected, run_unprotected

__all__ = ("TURN_NS", "close_source", "source_error", "yielding")

# How long a sync source may keep the Trio thread at a stretch. Arbitrary.
TURN_NS = 500_000


async def yielding[T](source: Iterable[T]) -> AsyncGenerator[T]:
    """Iterate over a sync source, letting Trio run other tasks in between."""
    begin_ns = sync.clock_ns()
    for item in source:
        yield item
        if sync.clock_ns() - begin_ns > TURN_NS:
            await trio.lowlevel.checkpoint()
            begin_ns = sync.clock_ns()


def source_error(error: Exception) -> Exception:
    """Return what to raise in a consumer's ``__anext__`` for a source that failed.

    There a `StopAsyncIteration` would be taken for the end; as in an async generator,
    it becomes a `RuntimeError`.
    """
    if not isinstance(error, StopAsyncIteration):
        return error
    told = RuntimeError(f"the source of the items raised {error!r}")
    told.__cause__ = error
    return told


async def close_source(items: object) -> None:
    """Close the iterator of a source, if it is a generator."""
    if isinstance(items, AsyncGenerator):
        await run_unprotected(items.aclose)
    elif isinstance(items, Generator):
        call_unprotected(items.close)
