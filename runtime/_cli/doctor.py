"""``python -m runtime doctor``: what this interpreter can do, and what it lacks.

Layer: cli. Imports: the standard library.
"""

import argparse
import importlib.metadata
import os
import platform
import subprocess
import sys
import sysconfig

import runtime

from .. import _backends, lowlevel
from .._core.selected import why_not_native
from .._errors import BackendUnavailableError
from .._util import available_cores, cgroup_quota, is_gil_enabled
from .console import show
from .exits import OK

__all__ = ("run",)

_IMPORT_PROBE = """\
import importlib, sys, warnings
warnings.simplefilter("ignore")
before = sys._is_gil_enabled()
importlib.import_module(sys.argv[1])
print("\\nGIL", before, sys._is_gil_enabled())
"""
_IMPORT_TIMEOUT = 60.0  # seconds; arbitrary, large packages take ten


def run(arguments: argparse.Namespace) -> int:
    """Run the command and return its exit code."""
    rows = [
        ("Python", f"{platform.python_version()}, {sys.executable}"),
        ("build", _build()),
        ("GIL now", _gil()),
        ("cores", _cores()),
        ("runtime", runtime.__version__),
        ("core", _core()),
        *(_backend(name) for name in _backends.BACKENDS),
        ("backend auto", _auto()),
        *((name, _version(name)) for name in ("trio", "outcome", "rich")),
        *((f"import {name}", _import_effect(name)) for name in arguments.imports),
    ]
    width = max(len(title) for title, _ in rows)
    show("\n".join(f"  {title.ljust(width)}  {answer}" for title, answer in rows))
    return OK


def _build() -> str:
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        return "free-threaded: jobs run in threads, on all cores at once"
    return "with a GIL: only one thread at a time runs Python"


def _gil() -> str:
    if not is_gil_enabled():
        return "off"
    if not sysconfig.get_config_var("Py_GIL_DISABLED"):
        return "on, as always in this build"
    return "on, although this build can do without: unset PYTHON_GIL, drop -X gil=1"


def _cores() -> str:
    quota = cgroup_quota()
    limits = [
        f"{os.cpu_count()} in the machine",
        f"{os.process_cpu_count()} by affinity",
        "no quota" if quota is None else f"a quota of {quota:g}",
    ]
    return f"{available_cores()} usable: {', '.join(limits)}"


def _core() -> str:
    if why_not_native is None:
        return f"{lowlevel.core}: the scheduler in C"
    return f"{lowlevel.core}: the scheduler in plain Python; {why_not_native}"


def _backend(name: str) -> tuple[str, str]:
    reason = _backends.why_unavailable(name)
    return f"backend {name}", "available" if reason is None else f"no: {reason}"


def _auto() -> str:
    try:
        chosen = _backends.choose_backend("auto")
    except (ValueError, BackendUnavailableError) as error:
        return f"no: {error}"
    if os.environ.get("RUNTIME_BACKEND"):
        return f"{chosen}, because RUNTIME_BACKEND says so"
    if chosen == "interpreters":
        return "interpreters: with a GIL, threads would take turns"
    if is_gil_enabled():
        return "threads, which take turns here: interpreters are not available"
    return "threads: without a GIL they run at the same time"


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        hint = ", pip install 'trio-runtime[cli]' for progress bars"
        return "not installed" + (hint if distribution == "rich" else "")


def _import_effect(name: str) -> str:
    """Import the module in a child process and tell what became of the GIL."""
    command = [sys.executable, "-c", _IMPORT_PROBE, name]
    try:
        child = subprocess.run(
            command, capture_output=True, text=True, timeout=_IMPORT_TIMEOUT
        )
    except subprocess.TimeoutExpired:
        return f"took longer than {_IMPORT_TIMEOUT:.0f} s"
    last_line = (child.stdout.splitlines() or [""])[-1]
    if child.returncode != 0 or not last_line.startswith("GIL "):
        return f"failed: {(child.stderr.splitlines() or ['no reason given'])[-1]}"
    _, before, after = last_line.split()
    if before == after:
        return "leaves the GIL " + ("on" if after == "True" else "off")
    return "turns the GIL on: keep this module out of processes that need all cores"
