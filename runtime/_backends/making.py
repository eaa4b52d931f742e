"""The backend that a name stands for, made from a pool's options.

Layer: backends.
"""

import sys
from collections.abc import Callable, Sequence

from .base import Backend
from .threads import SPIN_ROUNDS, ThreadBackend

__all__ = ("make_backend",)


def make_backend(
    kind: str,
    worker_count: int,
    *,
    name: str,
    preload: Sequence[str],
    initializer: Callable[..., object] | None,
    initargs: tuple[object, ...],
    max_jobs: int | None,
    spare_limit: int,
) -> Backend:
    """Return a backend that was chosen by `choose_backend`; see `open_worker_pool`."""
    if kind == "interpreters":
        return _make_interpreters(
            worker_count, name, preload, initializer, initargs, max_jobs, spare_limit
        )
    if initializer is not None:
        raise ValueError(
            "an initializer needs backend='interpreters': threads share their "
            "globals, so call it once, before the pool is opened"
        )
    if max_jobs is not None:
        raise ValueError(
            "max_jobs_per_worker needs backend='interpreters': a thread has nothing of "
            "its own that could be made afresh"
        )
    return ThreadBackend(worker_count, name=name, spare_limit=spare_limit)


def _make_interpreters(
    worker_count: int,
    name: str,
    preload: Sequence[str],
    initializer: Callable[..., object] | None,
    initargs: tuple[object, ...],
    max_jobs: int | None,
    spare_limit: int,
) -> Backend:
    # Late: a pool of threads does without it, and the native core may be missing.
    from .._native.scheduler import SharedQueues
    from . import kept
    from .host import Plan
    from .interpreters import InterpreterBackend, setup_of
    from .main_module import main_name

    setup = setup_of(preload, initializer, initargs)
    # What an initializer leaves behind is its pool's, and who asks for fresh
    # interpreters gets them.
    keep = kept.limit() if initializer is None and max_jobs is None else 0
    # Nobody is held up by a worker that searches, GIL or not: each has its own.
    queues = SharedQueues(
        worker_count, spin_rounds=SPIN_ROUNDS, spare_limit=spare_limit
    )
    path = tuple(sys.path)
    plan = Plan(
        path,
        queues.handle,
        setup,
        max_jobs or 0,
        name,
        spare_limit,
        key=(path, main_name()),
        keep=keep,
    )
    return InterpreterBackend(worker_count, queues, plan, name=name)
