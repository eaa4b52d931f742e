"""Hypertile 0.1.2: a work-stealing pool in Rust behind asyncio, for Python 3.14.

An asyncio loop of its own runs inside the Trio task, blocks Trio's loop, and is kept
between the rounds. The pool is process-wide: its size is set once.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import Any

__all__ = ("NAME", "HypertilePeer", "is_installed", "open_peer")

NAME = "hypertile"


def is_installed() -> bool:
    """Return whether it is here; it has no build for 3.13."""
    return find_spec("hypertile") is not None


class HypertilePeer:
    """What a user of hypertile writes, each in one run of the loop."""

    def __init__(self, hypertile: Any, runner: asyncio.Runner) -> None:
        self._hypertile = hypertile
        self._runner = runner

    async def one_by_one[R](
        self, fn: Callable[[int], R], items: Sequence[int]
    ) -> list[R]:
        """Await one call after another."""

        async def main() -> list[R]:
            return [await self._hypertile.to_thread(fn, item) for item in items]

        return self._runner.run(main())

    async def each[R](self, fn: Callable[[int], R], items: Sequence[int]) -> list[R]:
        """Await all calls at once, by `asyncio.gather`."""

        async def main() -> list[R]:
            calls = [self._hypertile.to_thread(fn, item) for item in items]
            return list(await asyncio.gather(*calls))

        return self._runner.run(main())

    async def batch[R](self, fn: Callable[[int], R], items: Sequence[int]) -> list[R]:
        """Run `hypertile.gather_to_thread` once over all items."""

        async def main() -> list[R]:
            return list(await self._hypertile.gather_to_thread(fn, items))

        return self._runner.run(main())


@contextmanager
def open_peer(worker_count: int) -> Iterator[HypertilePeer]:
    """Set the size of the pool, start a loop, and end it on the way out."""
    hypertile = import_module("hypertile")
    hypertile.configure(worker_count)
    with asyncio.Runner() as runner:
        yield HypertilePeer(hypertile, runner)
