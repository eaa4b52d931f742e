"""joblib with its threading backend, on pieces cut by hand.

Handed single items it would need some ten microseconds for each, so it gets
`PIECES_PER_WORKER` pieces per worker.
"""

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any

__all__ = ("IS_THERE", "NAME", "run_parts")

NAME = "joblib, threads"
IS_THERE = find_spec("joblib") is not None
PIECES_PER_WORKER = 8  # arbitrary


def run_parts(
    fn: Callable[[Any], Any], parts: Sequence[Any], worker_count: int
) -> list[Any]:
    """Run ``fn(part)`` for each part, as many at once as there are workers."""
    import joblib  # type: ignore[import-untyped, import-not-found, unused-ignore]

    parallel = joblib.Parallel(n_jobs=worker_count, backend="threading")
    answers: list[Any] = parallel(joblib.delayed(fn)(part) for part in parts)
    return answers
