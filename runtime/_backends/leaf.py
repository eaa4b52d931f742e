"""What runs inside a job on behalf of the pool, on either side of the border.

Layer: backends, both sides.
"""

import time

from .._errors import JobCancelled
from .._unawaited import UNAWAITED
from .native_parts import Until, call_each

TYPE_CHECKING = False  # not from typing, which is slow to import
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, NoReturn, Protocol

    class Token(Protocol):
        """A request to stop, as a job sees it."""

        @property
        def is_set(self) -> bool:
            """Whether the job was asked to stop."""
            raise NotImplementedError


__all__ = (
    "call_chunk",
    "current_token",
    "refuse_coroutine",
    "run_block",
    "token_of_job",
)


def current_token() -> "Token":
    """Return the token of the job that runs in this interpreter of a pool."""
    from .child import current_token

    return current_token()


def token_of_job() -> "Token":
    """Return what stands for the token of the job that is decoded here: the job."""
    from .crew import current_job

    job = current_job()
    assert job is not None
    return job


def run_block[T, R](
    call: "Callable[[T], R]", items: list[T], token: "Token"
) -> tuple[list[R], BaseException | None, int]:
    """Call the function for each item of a map's block, until the token is set.

    Returns:
      The results up to the first error, the error, and the time taken.
    """
    results: list[R] = []
    begin_ns = time.perf_counter_ns()
    try:
        call_each(call, Until(items, token), results)
        if results and type(results[0]) in UNAWAITED:
            _refuse(call, results)
        if len(results) < len(items):
            raise JobCancelled
    except BaseException as error:
        return results, error, time.perf_counter_ns() - begin_ns
    return results, None, time.perf_counter_ns() - begin_ns


def _refuse(call: "Callable[..., object]", results: "list[Any]") -> None:
    """Raise for an async function, which is one each time."""
    values = results.copy()
    results.clear()
    refuse_coroutine(call, *values)


def refuse_coroutine(call: "Callable[..., object]", *values: "Any") -> "NoReturn":
    """Raise for an async function; see `_util.refuse_coroutine`."""
    from .._util import refuse_coroutine  # late, for each worker would pay for it

    refuse_coroutine(call, *values)


def call_chunk[T, R](fn: "Callable[[list[T]], Iterable[R]]", chunk: list[T]) -> list[R]:
    """Call the function for one chunk and check what it returned."""
    returned: Any = fn(chunk)
    if type(returned) in UNAWAITED:
        refuse_coroutine(fn, returned)
    results = list(returned)
    if len(results) != len(chunk):
        name = getattr(fn, "__qualname__", None) or type(fn).__qualname__
        raise ValueError(
            f"{name} returned {len(results)} results for {len(chunk)} items; it must "
            "return one for each"
        )
    return results
