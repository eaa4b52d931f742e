"""The backend that a name stands for, made from a pool's options.

Layer: backends.
"""

import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

from .._core import SPARE_LIMIT
from .base import Backend
from .threads import SPIN_ROUNDS, ThreadBackend

__all__ = ("BackendOptions", "make_backend")


class BackendOptions(NamedTuple):
    """Those options of `open_worker_pool` that are the backend's, checked."""

    worker_count: int
    name: str
    preload: Sequence[str] = ()
    initializer: Callable[..., object] | None = None
    initargs: tuple[object, ...] = ()
    max_jobs: int | None = None
    spare_limit: int = SPARE_LIMIT


def make_backend(kind: str, options: BackendOptions) -> Backend:
    """Return a backend that was chosen by `choose_backend`."""
    if kind == "interpreters":
        return _make_interpreters(options)
    if options.initializer is not None:
        raise ValueError(
            "an initializer needs backend='interpreters': threads share their "
            "globals, so call it once, before the pool is opened"
        )
    if options.max_jobs is not None:
        raise ValueError(
            "max_jobs_per_worker needs backend='interpreters': a thread has nothing of "
            "its own that could be made afresh"
        )
    return ThreadBackend(
        options.worker_count, name=options.name, spare_limit=options.spare_limit
    )


def _make_interpreters(options: BackendOptions) -> Backend:
    # Late: a pool of threads does without it, and the native core may be missing.
    from .._native.scheduler import SharedQueues
    from . import kept
    from .host import Plan
    from .interpreters import InterpreterBackend, setup_of
    from .main_module import main_name

    setup = setup_of(options.preload, options.initializer, options.initargs)
    # What an initializer leaves behind is its pool's, and who asks for fresh
    # interpreters gets them.
    may_keep = options.initializer is None and options.max_jobs is None
    keep = kept.limit() if may_keep else 0
    # Nobody is held up by a worker that searches, GIL or not: each has its own.
    queues = SharedQueues(
        options.worker_count, spin_rounds=SPIN_ROUNDS, spare_limit=options.spare_limit
    )
    path = tuple(sys.path)
    plan = Plan(
        path,
        queues.handle,
        setup,
        options.max_jobs or 0,
        options.name,
        options.spare_limit,
        key=(path, main_name()),
        keep=keep,
    )
    return InterpreterBackend(options.worker_count, queues, plan, name=options.name)
