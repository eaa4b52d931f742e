"""``python -m runtime doctor``: what this interpreter can do, and what it lacks.

Layer: cli.
"""

import argparse
import importlib.metadata
import os
import platform
import sys
import sysconfig
from collections.abc import Iterator

import runtime

from .. import _backends, lowlevel
from .._core import gil
from .._core.selected import why_not_native
from .._errors import BackendUnavailableError
from .._util import available_cores, cgroup_quota, is_gil_enabled
from .console import show
from .exits import OK, SOME_FAILED
from .import_effect import ImportEffect, import_effect, interpreters_effect

__all__ = ("run",)

_LATER = """\
A module that is imported later can still turn the GIL on; a pool says so in its log.
PYTHON_GIL=0 in the environment keeps it off, and most such modules work then."""


def run(arguments: argparse.Namespace) -> int:
    """Run the command and return its exit code."""
    effects = {name: import_effect(name) for name in arguments.imports}
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
        *(row for name, effect in effects.items() for row in _import(name, effect)),
    ]
    width = max(len(title) for title, _ in rows)
    show("\n".join(f"  {title.ljust(width)}  {answer}" for title, answer in rows))
    if effects and not is_gil_enabled() and not _is_kept_off():
        show("\n" + _LATER)
    return OK if all(effect.is_usable for effect in effects.values()) else SOME_FAILED


def _import(name: str, effect: ImportEffect) -> Iterator[tuple[str, str]]:
    yield f"import {name}", effect.text
    if effect.is_usable and _backends.why_unavailable("interpreters") is None:
        yield "  in interpreters", interpreters_effect(name)


def _build() -> str:
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        return "free-threaded: jobs run in threads, on all cores at once"
    return "with a GIL: only one thread at a time runs Python"


def _gil() -> str:
    if not is_gil_enabled():
        return "off, and kept off by PYTHON_GIL=0" if _is_kept_off() else "off"
    if not sysconfig.get_config_var("Py_GIL_DISABLED"):
        return "on, as always in this build"
    why = gil.reason()
    if why is not None:
        return f"on: {why}"
    return "on, although this build can do without: unset PYTHON_GIL, drop -X gil=1"


def _is_kept_off() -> bool:
    return getattr(sys.flags, "gil", None) == 0


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
    reason = f"the native core {why_not_native}"
    return f"{lowlevel.core}: the scheduler in plain Python; {reason}"


def _backend(name: str) -> tuple[str, str]:
    reason = _backends.why_unavailable(name)
    return f"backend {name}", "available" if reason is None else f"no: {reason}"


def _auto() -> str:
    try:
        chosen = _backends.backend_for("auto")
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
