"""The scheduler's objects in use: those of this package, or their twins in C.

The native core is used where it was built, this one elsewhere. ``RUNTIME_CORE`` in the
environment forces one: ``python``, or ``native``, which is then an error where the
extension cannot be loaded.

Layer: core.
"""

from typing import TYPE_CHECKING

from .._environment import EnvironmentVariableError, variable

__all__ = (
    "CancelToken",
    "CountLatch",
    "Halted",
    "Injector",
    "Job",
    "Latch",
    "Leaf",
    "Parker",
    "Registry",
    "Stealer",
    "StopRaised",
    "Until",
    "WorkDeque",
    "Worker",
    "call_each",
    "check_cancelled",
    "core",
    "current_worker",
    "filter_mapped",
    "filtered",
    "flat_mapped",
    "inspected",
    "join",
    "mapped",
    "star_mapped",
    "own_context",
    "why_not_native",
)

_CHOICES = ("python", "native")


def _choose() -> tuple[str, str | None]:
    """Return the name of the core to use, and why it is not the native one.

    The reason and the remedy are what follows "the native core".

    Raises:
      EnvironmentVariableError: ``RUNTIME_CORE`` names no core, or the native one,
        which cannot be loaded.
    """
    choice = variable("RUNTIME_CORE", _CHOICES)
    if choice == "python":
        return "python", "is turned off by RUNTIME_CORE=python: unset it"
    try:
        from .._native.scheduler import Registry  # noqa: F401
    except ImportError as error:
        reason = _explain(error)
        if choice == "native":
            raise EnvironmentVariableError(
                f"RUNTIME_CORE=native, but the native core {reason}; or unset "
                "RUNTIME_CORE"
            ) from error
        return "python", reason
    return "native", None


def _explain(error: ImportError) -> str:
    """Say why the extension is not there, and what helps."""
    remedy = "reinstall trio-runtime from a wheel, or where there is a C compiler"
    if isinstance(error, ModuleNotFoundError):
        return f"was not built: {remedy}"
    return f"cannot be loaded ({error}): {remedy}"


core: str
why_not_native: str | None
core, why_not_native = _choose()

if TYPE_CHECKING or core == "python":
    from .._context import call_each, own_context
    from .._until import Until
    from .cancel import check_cancelled
    from .deque import Stealer, WorkDeque
    from .injector import Injector
    from .job import CancelToken, Job
    from .join import join
    from .latch import CountLatch, Latch
    from .leaf import Leaf
    from .parker import Parker
    from .registry import Registry
    from .signals import Halted, StopRaised
    from .stages import (
        filter_mapped,
        filtered,
        flat_mapped,
        inspected,
        mapped,
        star_mapped,
    )
    from .worker import Worker, current_worker
else:
    from .._native.scheduler import (
        CancelToken,
        CountLatch,
        Halted,
        Injector,
        Job,
        Latch,
        Leaf,
        Parker,
        Registry,
        Stealer,
        StopRaised,
        Until,
        WorkDeque,
        Worker,
        call_each,
        check_cancelled,
        current_worker,
        filter_mapped,
        filtered,
        flat_mapped,
        inspected,
        join,
        mapped,
        own_context,
        star_mapped,
    )
