"""fastiter, a parallel iterator library for free-threaded Python 3.14."""

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from sys import version_info
from typing import Any

__all__ = ("IS_THERE", "NAME", "map_sum")

NAME = "fastiter"
IS_THERE = version_info >= (3, 14) and find_spec("fastiter") is not None


def map_sum(fn: Callable[[Any], Any], items: Sequence[Any], worker_count: int) -> Any:
    """Return ``sum(map(fn, items))``."""
    import fastiter  # type: ignore[import-not-found, unused-ignore]  # 3.14 only

    fastiter.set_num_threads(worker_count)
    return fastiter.into_par_iter(items).map(fn).sum()
