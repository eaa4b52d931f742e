"""`runtime.join`: fork-join of two, on a worker or from a plain thread.

The fork itself is the core's (`runtime.lowlevel.join`). In place there is nothing to
fork.

Layer: iter.
"""

from collections.abc import Callable
from typing import Any, overload

from .._core import current_worker, own_context
from .._core import join as core_join
from .._core.join import split_halves
from .._util import called
from .place import is_in_place, run_on_worker

__all__ = ("join",)


@overload
def join[A, B](f: Callable[[], A], g: Callable[[], B], /) -> tuple[A, B]: ...
@overload
def join[X, A, Y, B](
    f: Callable[[X], A], x: X, g: Callable[[Y], B], y: Y, /
) -> tuple[A, B]: ...
def join(*halves: Any) -> tuple[Any, Any]:
    """Return ``(f(), g())``, both called on workers, maybe at the same time.

    ``join(f, x, g, y)`` is for ``f(x)`` and ``g(y)``: it saves two lambdas, each of
    which costs more than the fork. Forks may be nested as deep as the interpreter's
    recursion limit allows; a worker that waits for the other half runs what belongs to
    it, and nothing else.

    Works inside a job, and in a plain thread inside `open_sync_pool`. On a pool the
    async twin is `WorkerPool.join`. A job of a pool of interpreters shares its objects
    with no other worker: there ``g`` is called after ``f``, in the job's thread.

    Raises:
      NotOnWorkerError: called elsewhere.

    Otherwise it raises what ``(f(), g())`` would. If both fail, the second failure is a
    note on the first. If ``f`` fails before ``g`` was stolen, ``g`` never begins.

    Cost: a fraction of a microsecond on the native core, if nobody steals.
    """
    if current_worker() is not None:
        return core_join(*halves)
    if is_in_place():
        return _join_in_place(halves)
    return run_on_worker("runtime.join()", "await pool.join(f, g)", core_join, *halves)


def _join_in_place(halves: tuple[Any, ...]) -> tuple[Any, Any]:
    """Run one half after the other."""
    first, first_args, second, second_args = split_halves(halves)
    context = own_context()  # before the first half, as in a fork
    return called(first, *first_args), context.run(called, second, *second_args)
