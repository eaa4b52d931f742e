"""How a pool is opened, over any backend.

Layer: frontend.
"""

import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from importlib import import_module
from itertools import count

import trio

from .._backends import choose_backend
from .._backends.base import Backend
from .._backends.making import BackendOptions, make_backend
from .._core import SPARE_LIMIT, gil
from .._util import available_cores
from .intake import Intake
from .nursery import open_nursery
from .options import check_count, check_function, check_seconds, names_of
from .pool import WorkerPool
from .protected import protected
from .stuck import watch_for_stuck_jobs

__all__ = ("open_worker_pool", "run_pool")

_pool_numbers = count(1)


@protected("async with runtime.open_worker_pool() as pool: ...")
@asynccontextmanager
async def open_worker_pool(
    worker_count: int | None = None,
    *,
    backend: str = "auto",
    queue_capacity: int = 1000,
    name: str | None = None,
    preload: Sequence[str] = (),
    initializer: Callable[..., object] | None = None,
    initargs: tuple[object, ...] = (),
    max_jobs_per_worker: int | None = None,
    spare_limit: int = SPARE_LIMIT,
    stuck_after: float | None = None,
) -> AsyncIterator[WorkerPool]:
    """Open a pool of workers for the length of an ``async with`` block.

    Leaving the block closes the pool: nothing more is accepted, what was accepted
    is finished and waited for, then the workers' threads end. If the block is left
    by an error or is cancelled, queued jobs are withdrawn, running ones have their
    token set, and are waited for. The block's own exception leaves it as it is,
    unless something else failed too; then both leave in a group.

    Interpreters outlive the pool, for the next one, unless it has an ``initializer`` or
    ``max_jobs_per_worker``: what jobs change in modules there stays changed, as in
    threads. ``RUNTIME_KEEP_INTERPRETERS`` in the environment says how many are kept.

    Args:
      worker_count: How many jobs run at the same time, at least 1; by default the
        cores this process may use (CPU affinity and control group respected).
      backend: How jobs are executed: by ``"threads"``, by ``"interpreters"``, one for
        each worker, or ``"auto"`` for the one that suits this build. Interpreters
        need the native core; without it ``"auto"`` is threads everywhere.
      queue_capacity: How many jobs may wait for a worker, at least 1. Who submits
        more waits.
      name: Shown in thread names, statistics and errors.
      preload: Names of modules that each worker imports before its first job. In
        interpreters each imports them for itself, one worker after the other: that
        takes the time of the import and its memory once for each worker.
      initializer: Called as ``initializer(*initargs)`` by each worker before its first
        job; only where each worker has globals of its own, that is with
        ``"interpreters"``.
      initargs: Its arguments.
      max_jobs_per_worker: After so many jobs, pieces of batches included, a worker gets
        a fresh interpreter, for jobs that leave something behind; at least 1, only with
        ``"interpreters"``. It keeps the old one while a job there waits in `blocking`
        or `runtime.from_worker`. Each interpreter that ends leaves some memory behind,
        too. None for never.
      spare_limit: How many jobs may wait at a time in `blocking` or
        `runtime.from_worker`; each has a spare thread work in its place. One more
        gets a `DeadlockError`.
      stuck_after: Seconds, more than 0. A job that runs longer is reported once to the
        logger ``runtime``: its name, its function, and where it is. None for no
        reports.

    Raises:
      BackendUnavailableError: this interpreter cannot provide the backend, not without
        the native core, or not while `tracemalloc` traces. The error says what to do.
      BrokenWorkerError: a worker's thread could not be started. Leaves the block, if
        a worker broke again and again, for example in its ``initializer``.
      CrossingError: ``initializer`` or ``initargs`` cannot cross.
    """
    if worker_count is None:
        worker_count = available_cores()
    check_count(worker_count, 1, "worker_count", sys.maxsize)
    check_count(queue_capacity, 1, "queue_capacity")
    check_count(spare_limit, 0, "spare_limit", sys.maxsize)
    if max_jobs_per_worker is not None:
        check_count(max_jobs_per_worker, 1, "max_jobs_per_worker", sys.maxsize)
    preload = names_of(preload, "preload")
    check_function(initializer, "initializer")
    if stuck_after is not None:
        check_seconds(stuck_after, "stuck_after")
    pool_name = f"pool-{next(_pool_numbers)}" if name is None else name

    chosen = choose_backend(backend)
    gil.tell_at_open(pool_name, chosen)
    options = BackendOptions(
        worker_count,
        pool_name,
        preload=preload,
        initializer=initializer,
        initargs=initargs,
        max_jobs=max_jobs_per_worker,
        spare_limit=spare_limit,
    )
    made = make_backend(chosen, options)
    if preload and made.shares_objects:  # else each worker imports them
        _import_all(preload)
    async with run_pool(
        lambda _nursery: made,
        name=pool_name,
        queue_capacity=queue_capacity,
        stuck_after=stuck_after,
    ) as pool:
        try:
            yield pool
        finally:
            gil.look()


@trio.lowlevel.disable_ki_protection  # the default pool's task is protected
def _import_all(modules: Sequence[str]) -> None:
    for module in modules:
        import_module(module)


@asynccontextmanager
async def run_pool(
    make: Callable[[trio.Nursery], Backend],
    *,
    name: str,
    queue_capacity: int,
    stuck_after: float | None = None,
) -> AsyncIterator[WorkerPool]:
    """Open a pool over any backend; the part that all pools share."""
    intake: Intake | None = None
    try:
        async with open_nursery() as nursery:
            intake = Intake(
                nursery, make(nursery), name=name, queue_capacity=queue_capacity
            )
            with (
                intake.owner.watch_run(),
                watch_for_stuck_jobs(nursery, intake, stuck_after),
            ):
                async with intake.open():
                    yield WorkerPool(intake)
    except BaseException as error:
        if intake is not None:
            intake.raise_errors(together_with=error)
        raise
    intake.raise_errors()
