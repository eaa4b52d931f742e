"""Hypertile 0.1.2: a work-stealing pool in Rust behind asyncio, for Python 3.14.

An asyncio loop of its own runs inside the Trio task, blocks Trio's loop, and is kept
between the rounds. The pool is process-wide: its size is set once.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec

__all__ = ("NAME", "HypertilePeer", "is_installed", "open_peer")

NAME = "hypertile"


def is_installed() -> bool:
    """Return whether it is here; it has no build for 3.13."""
    return find_spec("hypertile") is not None


class HypertilePeer:
    """What a user of hypertile writes, each in one run of the loop."""

    def __init__(self, runner: asyncio.Runner) -> None:
        self._runner = runner

    async def one_by_one[R](self, fn: Callable[[int], R], items: Sequence[int]) -> list[R]:
        """Await one call after another."""
        return self._runner.run(_one_by_one(fn, items))

    async def each[R](self, fn: Callable[[int], R], items: Sequence[int]) -> list[R]:
        """Await all calls at once, by `asyncio.gather`."""
        return self._runner.run(_each(fn, items))

    async def batch[R](self, fn: Callable[[int], R], items: Sequence[int]) -> list[R]:
        """Run `hypertile.gather_to_thread` once over all items."""
        return self._runner.run(_batch(fn, items))


async def _one_by_one[R](fn: Callable[[int], R], items: Sequence[int]) -> list[R]:
    import hypertile

    return [await hypertile.to_thread(fn, item) for item in items]


async def _each[R](fn: Callable[[int], R], items: Sequence[int]) -> list[R]:
    import hypertile

    return list(await asyncio.gather(*(hypertile.to_thread(fn, i) for i in items)))


async def _batch[R](fn: Callable[[int], R], items: Sequence[int]) -> list[R]:
    import hypertile

    return list(await hypertile.gather_to_thread(fn, items))


@contextmanager
def open_peer(worker_count: int) -> Iterator[HypertilePeer]:
    """Set the size of the pool, start a loop, and end it on the way out."""
    import hypertile

    hypertile.configure(worker_count)
    with asyncio.Runner() as runner:
        yield HypertilePeer(runner)
