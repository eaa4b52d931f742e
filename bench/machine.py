"""What the figures were measured on, and who else wanted the cores meanwhile.

Facts that matter for a ratio, nothing that names the machine or a place on it.
"""

import os
import platform
import subprocess
import sys
import sysconfig
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

__all__ = ("Competition", "is_claim_machine", "machine_facts")

DISTRIBUTIONS = ("trio", "trio-parallel", "anyio")

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


def core_count() -> int:
    """Return how many cores this process may use."""
    return os.process_cpu_count() or 1


class Competition:
    """Watches how many cores other processes used while we measured.

    Linux only: it compares what all processes used, from ``/proc/stat``, with what
    ours and its ended children did.
    """

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._ours = _own_cpu_time()
        self._all = _all_cpu_time()

    def others_used_cores(self) -> float | None:
        """Return the mean number of cores others used; None where unknown."""
        if self._all is None or (now := _all_cpu_time()) is None:
            return None
        others = (now - self._all) - (_own_cpu_time() - self._ours)
        return round(max(0.0, others / (time.monotonic() - self._started)), 2)


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


def _own_cpu_time() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _all_cpu_time() -> float | None:
    try:
        fields = (
            Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()
        )
    except OSError:
        return None
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields[1:9])
    busy = user + nice + system + irq + softirq + steal
    return busy / os.sysconf("SC_CLK_TCK")
