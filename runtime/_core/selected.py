"""The scheduler's objects in use: those of this package, or their twins in C.

``RUNTIME_CORE`` in the environment chooses: ``python``, the default, or ``native``,
which is an error where the extension was not built.

The native core is not the default yet: it passes the same tests, but one call's round
trip from Trio is slower on it than on this one, which nobody has explained so far.

Layer: core. Imports: `deque`, `injector`, `job`, `join`, `latch`, `leaf`, `parker`,
`registry`,
`worker`, or `runtime._native`.
"""

import os
from typing import TYPE_CHECKING

__all__ = (
    "CancelToken",
    "CountLatch",
    "Injector",
    "Job",
    "Latch",
    "Leaf",
    "Parker",
    "Registry",
    "Stealer",
    "WorkDeque",
    "Worker",
    "core",
    "current_worker",
    "join",
)

_CHOICES = ("python", "native")


def _choose() -> str:
    """Return the name of the core to use.

    Raises:
      ValueError: ``RUNTIME_CORE`` names no core.
      ImportError: the native core was asked for and is not there.
    """
    choice = os.environ.get("RUNTIME_CORE") or "python"
    if choice not in _CHOICES:
        raise ValueError(f"RUNTIME_CORE must be 'python' or 'native', not {choice!r}")
    if choice == "native":
        try:
            from .._native import scheduler  # noqa: F401
        except ImportError as error:
            raise ImportError(
                "RUNTIME_CORE=native, but the native core was not built: reinstall "
                "trio-runtime where there is a C compiler, or unset RUNTIME_CORE"
            ) from error
    return choice


core = _choose()

if TYPE_CHECKING or core == "python":
    from .deque import Stealer, WorkDeque
    from .injector import Injector
    from .job import CancelToken, Job
    from .join import join
    from .latch import CountLatch, Latch
    from .leaf import Leaf
    from .parker import Parker
    from .registry import Registry
    from .worker import Worker, current_worker
else:
    from .._native.scheduler import (
        CancelToken,
        CountLatch,
        Injector,
        Job,
        Latch,
        Leaf,
        Parker,
        Registry,
        Stealer,
        WorkDeque,
        Worker,
        current_worker,
        join,
    )
