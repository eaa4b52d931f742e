"""What importing a module does to a process and an interpreter: `doctor --import`.

Layer: cli.
"""

import json
import os
import signal
import subprocess
import sys
from typing import Any, NamedTuple

from .._backends.refused import advice

__all__ = ("ImportEffect", "import_effect", "interpreters_effect")

# The warning by which CPython says that it turned the GIL on names the module.
_GIL_PROBE = """\
import importlib, json, re, sys, warnings
before = sys._is_gil_enabled()
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    importlib.import_module(sys.argv[1])
texts = [str(warning.message) for warning in caught]
pattern = r"\\(GIL\\) has been enabled to load module '(.+?)'"
found = [re.search(pattern, text) for text in texts]
modules = [match[1] for match in found if match]
print("\\nANSWER " + json.dumps([before, sys._is_gil_enabled(), modules]))
"""
# In a process of its own: what this one had imported already would count.
_INTERPRETERS_PROBE = """\
import json, sys
from runtime._backends.refusals import modules_refused_by_importing
print("\\nANSWER " + json.dumps(modules_refused_by_importing(sys.argv[1])))
"""
_MARK = "ANSWER "
_TIMEOUT = 60.0  # seconds; arbitrary, large packages take ten


class ImportEffect(NamedTuple):
    """What became of one import."""

    text: str
    is_usable: bool
    """Whether the module could be imported at all."""


def import_effect(name: str, timeout: float = _TIMEOUT) -> ImportEffect:
    """Import a module in a child process and tell what became of the GIL."""
    answer, failure = _ask(_GIL_PROBE, name, timeout)
    if failure:
        return ImportEffect(f"failed: {failure}", False)
    before, after, modules = answer
    if before == after:
        return ImportEffect("imported" if after else "leaves the GIL off", True)
    blamed = f" (it imports {modules[0]!r})" if modules and modules[0] != name else ""
    return ImportEffect(
        f"turns the GIL on{blamed}: keep it out of processes that need all cores, or "
        "set PYTHON_GIL=0, which often works",
        True,
    )


def interpreters_effect(name: str, timeout: float = _TIMEOUT) -> str:
    """Import a module in an interpreter of a child process and tell what it refuses."""
    answer, failure = _ask(_INTERPRETERS_PROBE, name, timeout)
    if failure:
        return f"failed: {failure}; {advice()}"
    refused, error = answer
    if refused:
        names = ", ".join(map(repr, refused))
        verb = "does" if len(refused) == 1 else "do"
        effect = "failed" if error else "imported with slower code of its own"
        return f"{effect}: {names} {verb} not support subinterpreters; {advice()}"
    if error:
        return f"failed: {' '.join(error.split())}"
    return "imported"


def _ask(probe: str, name: str, timeout: float) -> tuple[Any, str]:
    """Run a probe on a module in a child; return what it found, or why it failed."""
    child = subprocess.Popen(
        [sys.executable, "-c", probe, name],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        output, errors = child.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        return None, f"takes longer than {timeout:.0f} s"
    finally:
        _end_group(child)
    answers = [line for line in output.splitlines() if line.startswith(_MARK)]
    if child.returncode != 0 or not answers:
        return None, _reason(child.returncode, errors)
    return json.loads(answers[-1].removeprefix(_MARK)), ""


def _end_group(child: "subprocess.Popen[str]") -> None:
    """End the child and all that the module started: they may hold its pipes."""
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    child.wait()
    for pipe in (child.stdout, child.stderr):
        assert pipe is not None
        pipe.close()


def _reason(code: int, errors: str) -> str:
    lines = errors.strip().splitlines()
    if lines:
        return lines[-1]
    return f"it ended the process with code {code}"
