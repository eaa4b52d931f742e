"""Who waits for whom: jobs that wait for jobs, by way of Trio's tasks.

A job that called `runtime.from_worker` waits for the task that runs its request, with
all child tasks that this one opened a nursery for. Such a task may in turn wait
for a job. Followed backwards from a task, these steps lead to all work that cannot
go on before the task does. If the job that the task is about to wait for is among it,
nobody would ever go on.

Every wait of a job for a task is noted in `_requests`, every wait of a task for a job
in `WorkToken.waiters`, unless the task is the one that also runs the job's requests.

Layer: frontend.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import trio

from .._errors import DeadlockError
from .token import WorkToken

__all__ = ("check_wait", "is_asked_by", "requested_by", "waiting_for")

# By task: whose requests it runs, and how many nurseries it had open before each.
# What is said of a task belongs to its Trio thread.
_requests: dict[trio.lowlevel.Task, list[tuple[WorkToken, int]]] = {}


@contextmanager
def requested_by(token: WorkToken) -> Iterator[None]:
    """Note that the calling task runs a job's request for the length of the block."""
    task = trio.lowlevel.current_task()
    requests = _requests.setdefault(task, [])
    requests.append((token, len(task.child_nurseries)))
    try:
        yield
    finally:
        requests.pop()
        if not requests:
            del _requests[task]


@contextmanager
def waiting_for(token: WorkToken) -> Iterator[None]:
    """Note that the calling task waits for some work for the length of the block."""
    task = trio.lowlevel.current_task()
    token.waiters = (*token.waiters, task)
    try:
        yield
    finally:
        waiters = list(token.waiters)
        waiters.remove(task)
        token.waiters = tuple(waiters)


def is_asked_by(intake: object) -> bool:
    """Return whether a job of the pool waits for the calling task."""
    return any(token.intake is intake for token in _kept_waiting())


def check_wait(token: WorkToken) -> None:
    """Raise if some work cannot end because the calling task will wait for it.

    Raises:
      DeadlockError: it waits for the calling task.
    """
    asker: WorkToken | None = None
    for kept in _kept_waiting():
        asker = asker or kept
        if kept is token:
            this, that = _name(asker), _name(token)
            raise DeadlockError(
                f"job {this!r} cannot wait for itself"
                if asker is token
                else f"job {this!r} cannot wait for job {that!r}, which waits for it"
            )


def _kept_waiting() -> Iterator[WorkToken]:
    """Yield the tokens of all work that waits for the calling task, nearest first."""
    found: set[WorkToken] = set()
    tasks = [trio.lowlevel.current_task()]
    for first in tasks:  # grows meanwhile
        task = first
        depth = sys.maxsize  # of the nursery that the child is in
        while True:
            for token, open_before in reversed(_requests.get(task, ())):
                if open_before <= depth and token not in found:
                    found.add(token)
                    tasks.extend(token.waiters)
                    yield token
            nursery = task.parent_nursery
            if nursery is None:
                break
            task = nursery.parent_task
            depth = task.child_nurseries.index(nursery)


def _name(token: WorkToken) -> str:
    names = (work.name for work in token.intake.work if work.token is token)
    return next(names, "of a pool that was closed")
