"""The scheduler's own objects, for those who build something else on it.

They are synchronous and know nothing of Trio. ``core`` names the build of the
scheduler that is in use: ``"python"``.
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
)
