"""What the figures were measured on.

Facts that matter for a ratio, nothing that names the machine or a place on it.
"""

import os
import platform
import subprocess
import sys
import sysconfig
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

__all__ = (
    "Facts",
    "core_count",
    "is_claim_machine",
    "is_native",
    "machine_facts",
)

DISTRIBUTIONS = ("trio", "trio-parallel", "anyio", "hypertile")

type Facts = dict[str, str | int | bool]


def machine_facts(worker_count: int) -> Facts:
    """Return the facts that a reader needs in order to judge the figures."""
    import runtime

    return {
        "python": platform.python_version(),
        "build": _build(),
        "is_gil_enabled": sys._is_gil_enabled(),  # the documented way
        "system": f"{platform.system()} {platform.machine()}",
        "core_count": core_count(),
        "worker_count": worker_count,
        "runtime": runtime.__version__,
        "runtime_core": runtime.lowlevel.core,
        "commit": _commit(),
        **{name: _version_of(name) for name in DISTRIBUTIONS},
    }


def is_claim_machine(facts: Facts) -> bool:
    """Return whether the targets were set for a build and machine like this."""
    return (
        str(facts["python"]).startswith("3.13.")
        and not facts["is_gil_enabled"]
        and facts["core_count"] == facts["worker_count"] == 2
    )


def is_native() -> bool:
    """Return whether the native core is in use; some targets are for it alone."""
    import runtime

    return runtime.lowlevel.core == "native"


def core_count() -> int:
    """Return how many cores this process may use."""
    return os.process_cpu_count() or 1


def _build() -> str:
    kind = "free-threaded" if sysconfig.get_config_var("Py_GIL_DISABLED") else "GIL"
    configured = sysconfig.get_config_var("CONFIG_ARGS") or ""
    is_optimized = "--enable-optimizations" in configured
    return f"{kind}, {'profile-guided' if is_optimized else 'plain'}"


def _commit() -> str:
    """Return the checkout's commit, with a plus sign when files differ from it."""
    root = Path(__file__).parent
    try:
        commit = _git(root, "rev-parse", "--short", "HEAD")
        return commit + ("+" if _git(root, "status", "--porcelain") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(root: Path, *args: str) -> str:
    answer = subprocess.run(
        ["git", "-C", str(root), *args], capture_output=True, text=True, check=True
    )
    return answer.stdout.strip()


def _version_of(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "missing"
