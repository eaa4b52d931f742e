"""What importing a module does to a process: `doctor --import`.

Layer: cli.
"""

import json
import os
import signal
import subprocess
import sys
from typing import NamedTuple

__all__ = ("ImportEffect", "import_effect")

# The warning by which CPython says that it turned the GIL on names the module.
_PROBE = """\
import importlib, json, re, sys, warnings
before = sys._is_gil_enabled()
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    importlib.import_module(sys.argv[1])
texts = [str(warning.message) for warning in caught]
pattern = r"\\(GIL\\) has been enabled to load module '(.+?)'"
found = [re.search(pattern, text) for text in texts]
modules = [match[1] for match in found if match]
print("\\nGIL " + json.dumps([before, sys._is_gil_enabled(), modules]))
"""
_TIMEOUT = 60.0  # seconds; arbitrary, large packages take ten


class ImportEffect(NamedTuple):
    """What became of one import."""

    text: str
    is_usable: bool
    """Whether the module could be imported at all."""


def import_effect(name: str, timeout: float = _TIMEOUT) -> ImportEffect:
    """Import a module in a child process and tell what became of the GIL."""
    child = subprocess.Popen(
        [sys.executable, "-c", _PROBE, name],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        output, errors = child.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        return ImportEffect(f"failed: takes longer than {timeout:.0f} s", False)
    finally:
        _end_group(child)
    answers = [line for line in output.splitlines() if line.startswith("GIL ")]
    if child.returncode != 0 or not answers:
        return ImportEffect(f"failed: {_reason(child.returncode, errors)}", False)
    before, after, modules = json.loads(answers[-1].removeprefix("GIL "))
    if before == after:
        return ImportEffect("leaves the GIL " + ("on" if after else "off"), True)
    blamed = f" (it imports {modules[0]!r})" if modules and modules[0] != name else ""
    return ImportEffect(
        f"turns the GIL on{blamed}: keep it out of processes that need all cores, or "
        "set PYTHON_GIL=0",
        True,
    )


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
