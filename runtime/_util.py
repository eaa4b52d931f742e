"""Tiny helpers that belong to no layer.

Layer: rank 0. Imports: nothing of ours.
"""

import math
import os
import sys
from pathlib import Path
from types import TracebackType
from typing import cast

__all__ = ("available_cores", "is_gil_enabled", "traceback_of")

_CGROUP_V2 = Path("/sys/fs/cgroup/cpu.max")
_CGROUP_V1 = Path("/sys/fs/cgroup/cpu")


def is_gil_enabled() -> bool:
    """Return whether this process runs with a GIL right now."""
    return sys._is_gil_enabled()


def available_cores() -> int:
    """Return how many cores this process may use, at least 1.

    The smallest of: cores in the machine, the CPU affinity of this process
    (``taskset``), and the CPU quota of its control group (containers). A quota
    of 1.5 cores counts as 2: a worker more than the quota costs little, a core
    left idle costs a core.
    """
    cores = os.process_cpu_count() or 1
    quota = cgroup_quota()
    if quota is not None:
        cores = min(cores, math.ceil(quota))
    return max(1, cores)


def cgroup_quota(v2: Path = _CGROUP_V2, v1: Path = _CGROUP_V1) -> float | None:
    """Return the control group's CPU quota in cores; None where there is none."""
    try:
        quota, period = v2.read_text().split()[:2]
    except (OSError, ValueError):
        try:
            quota = (v1 / "cpu.cfs_quota_us").read_text()
            period = (v1 / "cpu.cfs_period_us").read_text()
        except OSError:
            return None
    try:
        cores = int(quota) / int(period)
    except (ValueError, ZeroDivisionError):  # "max" means no quota
        return None
    return cores if cores > 0 else None  # -1 means no quota in version 1


def traceback_of(error: BaseException) -> TracebackType | None:
    """Return an error's traceback, whatever its class makes of that attribute."""
    return cast("TracebackType | None", _traceback.__get__(error))


_traceback = vars(BaseException)["__traceback__"]
