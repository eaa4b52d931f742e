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

Layer: core. Imports: `job`, `latch`, `worker`.
"""

from collections.abc import Callable
from contextvars import copy_context
from typing import Any, cast

import outcome

from .._errors import NotOnWorkerError
from .job import Job
from .latch import Latch
from .worker import Worker, current_worker

__all__ = ("join",)


# A callable, or a tuple of a callable and its arguments.
type Half[R] = Callable[[], R] | tuple[Callable[..., R], *tuple[Any, ...]]


def join[A, B](f: Half[A], g: Half[B], /) -> tuple[A, B]:
    """Return ``(f(), g())``, both called on workers, maybe at the same time.

    Each half is a callable, or a tuple of a callable and its arguments: with
    ``join((fib, n - 1), (fib, n - 2))`` no function has to be made for the call.

    ``f`` runs here, ``g`` in a copy of the caller's context variables.

    Raises:
      NotOnWorkerError: called outside a job.
      Whatever ``(f(), g())`` would raise. If both fail, the second failure is a note
        on the first. If ``f`` fails before ``g`` was stolen, ``g`` never begins.
    """
    worker = current_worker()
    if worker is None:
        raise NotOnWorkerError(
            "runtime.lowlevel.join()",
            "await pool.spawn_cpu_work(fn), with the join inside fn",
        )
    done = Latch()
    token = None if worker.job is None else worker.job.token
    fn, args = _call_of(f)
    fork = Job(*_call_of(g), copy_context(), token=token, sink=done.set)
    worker.push(fork)  # JOIN-1 push
    first = outcome.capture(fn, *args)  # JOIN-2 run
    is_back = _take_back(worker, fork)  # JOIN-3 take back
    if is_back and isinstance(first, outcome.Value):
        fork.run()
    elif not is_back:
        done.wait()  # JOIN-4 wait
    return _both(first, cast("outcome.Outcome[B] | None", fork.outcome))


def _call_of[R](half: Half[R]) -> tuple[Callable[..., R], tuple[Any, ...]]:
    """Return a half as a callable and its arguments."""
    if type(half) is tuple:
        return half[0], half[1:]
    return cast("Callable[[], R]", half), ()


def _take_back(worker: Worker, fork: Job) -> bool:
    """Run what was pushed since the fork; return whether the fork is here."""
    while (job := worker.deque.pop()) is not None:
        if job is fork:
            return True
        worker.execute(job)
    return False


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
