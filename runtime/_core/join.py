"""Fork-join of two: run both, maybe at the same time, and return both results.

* **JOIN-1** Push ``g`` where others can steal it.
* **JOIN-2** Run ``f``.
* **JOIN-3** Take back what was pushed since: first what ``f`` left behind, which runs
  here, then ``g``, which runs here too. Nobody was woken for it in vain, and
  nobody was waited for.
* **JOIN-4** If ``g`` was stolen, wait for its thief.

Work isolation: the user may hold a lock across a join, and an unrelated job on the
same stack could want it. So a waiting worker runs its own descendants only. A thief
takes the oldest entry; if ``g`` is gone, everything older is gone too, and all that
this worker still pops was pushed since.

The native core also helps the thief with what it pushes under ``g``; here the
worker only waits, because a job cannot be looked at before it is taken.

Layer: core.
"""

from collections.abc import Callable
from typing import Any, overload

import outcome

from .._context import own_context
from .._errors import BrokenWorkerError, NotOnWorkerError
from .._unawaited import UNAWAITED
from .._util import refuse_coroutine
from .job import Job
from .latch import Latch
from .worker import Worker, current_worker

__all__ = ("join", "split_halves")


@overload
def join[A, B](f: Callable[[], A], g: Callable[[], B], /) -> tuple[A, B]: ...
@overload
def join[X, A, Y, B](
    f: Callable[[X], A], x: X, g: Callable[[Y], B], y: Y, /
) -> tuple[A, B]: ...
def join(*halves: Any) -> tuple[Any, Any]:
    """Return ``(f(), g())``, both called on workers, maybe at the same time.

    ``join(f, x, g, y)`` is for ``f(x)`` and ``g(y)``: it saves two lambdas, each of
    which costs more than the fork.

    ``f`` runs here, ``g`` in a copy of the caller's context variables.

    It raises what ``(f(), g())`` would. If both fail, the second failure is a note on
    the first. If ``f`` fails before ``g`` was stolen, ``g`` never begins.

    Raises:
      NotOnWorkerError: called outside a job.
    """
    first, first_args, second, second_args = split_halves(halves)
    worker = current_worker()
    if worker is None:
        raise NotOnWorkerError(
            "runtime.lowlevel.join()",
            "await pool.spawn_cpu_work(fn), with the join inside fn",
        )
    done = Latch()
    token = None if worker.job is None else worker.job.token
    fork = Job(second, second_args, own_context(), token=token, sink=done.set)
    worker.push(fork)  # JOIN-1 push
    result = outcome.capture(first, *first_args)  # JOIN-2 run
    if type(result) is outcome.Value and type(result.value) in UNAWAITED:
        result = outcome.capture(refuse_coroutine, first, result.value)
    is_back = _take_back(worker, fork)  # JOIN-3 take back
    if not is_back:
        _check_not_forked(worker)
        worker.wait_in_join(done)  # JOIN-4 wait
    elif isinstance(result, outcome.Value):
        fork.run()
    return _both(result, fork.outcome)


def split_halves(
    halves: tuple[Any, ...],
) -> tuple[Any, tuple[Any, ...], Any, tuple[Any, ...]]:
    """Return both callables, each with the tuple of its arguments."""
    match halves:
        case (f, g):
            return f, (), g, ()
        case (f, x, g, y):
            return f, (x,), g, (y,)
    raise TypeError(
        "write join(f, g), or join(f, x, g, y) for f(x) and g(y); "
        f"{len(halves)} arguments were given"
    )


def _take_back(worker: Worker, fork: Job) -> bool:
    """Run what was pushed since the fork; return whether the fork is here."""
    while (job := worker.deque.pop()) is not None:
        if job is fork:
            return True
        worker.execute(job)
    return False


def _check_not_forked(worker: Worker) -> None:
    if worker.registry.is_forked:
        raise BrokenWorkerError(
            "this process was forked inside a join, and has none of the workers, one "
            "of which ran the other half"
        )


def _both[A, B](
    first: outcome.Outcome[A], second: outcome.Outcome[B] | None
) -> tuple[A, B]:
    """Return two values, or raise the first error."""
    if isinstance(first, outcome.Error) and isinstance(second, outcome.Error):
        first.error.add_note(
            f"the other half of the join failed, too: {second.error!r}"
        )
    value = first.unwrap()
    assert second is not None
    return value, second.unwrap()
