"""The workers that a backend's name stands for.

Layer: frontend.
"""

from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module

import trio

from .._core import Registry
from .._util import is_gil_enabled
from .intake import MakeRegistry

__all__ = ("registry_maker",)

# How often an idle worker searches before it sleeps: long enough to meet the next
# call of a task that makes one after the other. Measured in bench round_trip. With a
# GIL a searching worker would only hold up the others.
SPIN_ROUNDS = 60


def registry_maker(
    backend: str,
    worker_count: int,
    *,
    name: str,
    preload: Sequence[str],
    initializer: Callable[..., object] | None,
    initargs: tuple[object, ...],
    max_jobs: int | None,
    spare_limit: int,
) -> MakeRegistry:
    """Return what makes the registry of a pool; see `open_worker_pool`."""
    if backend == "interpreters":
        from .crossing import interpreters

        return interpreters(
            worker_count,
            name=name,
            preload=preload,
            initializer=initializer,
            initargs=initargs,
            max_jobs=max_jobs,
            spare_limit=spare_limit,
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
    if preload:  # the default pool's task must not be interrupted
        _import_all(preload)
    return partial(_threads, worker_count, name, spare_limit)


@trio.lowlevel.disable_ki_protection
def _import_all(modules: Sequence[str]) -> None:
    for module in modules:
        import_module(module)


def _threads(
    worker_count: int,
    name: str,
    spare_limit: int,
    _nursery: trio.Nursery,
    on_failure: Callable[[BaseException], None],
) -> Registry:
    return Registry(
        worker_count,
        name=name,
        spin_rounds=1 if is_gil_enabled() else SPIN_ROUNDS,
        spare_limit=spare_limit,
        on_failure=on_failure,
    )
