"""The scheduler's own objects, for those who build something else on it.

They are synchronous and know nothing of Trio. ``core`` names the build of the
scheduler that is in use: ``"python"`` or ``"native"``.
"""

from ._core import (
    CancelToken,
    Injector,
    Job,
    Latch,
    Parker,
    Registry,
    Stealer,
    WorkDeque,
    core,
    current_worker,
    join,
)

__all__ = (
    "CancelToken",
    "Injector",
    "Job",
    "Latch",
    "Parker",
    "Registry",
    "Stealer",
    "WorkDeque",
    "core",
    "current_worker",
    "join",
)
