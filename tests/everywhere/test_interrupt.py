"""Interrupt everywhere: each call, with a Ctrl-C at each line of ours; see every_line.

In one child process for all backends, since what one has met the next need not.
"""

import os
import subprocess
import sys
from pathlib import Path

import every_line
import pytest

from runtime import _backends

pytestmark = pytest.mark.slow

# "first": each line once; "all": each line each time that a case comes to it.
TIMES = os.environ.get("RUNTIME_EVERYWHERE_LINES", "first")
BACKENDS = [
    name
    for name in ("threads", "interpreters")
    if _backends.why_unavailable(name) is None
]


def test_interrupt_at_every_line():
    child = Path(every_line.__file__)
    done = subprocess.run(
        [sys.executable, child, TIMES, ",".join(BACKENDS)],
        capture_output=True,
        text=True,
        cwd=child.parent,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    print(done.stdout)  # noqa: T201
    assert done.returncode == 0, done.stderr[-5000:]
    assert "lines in all" in done.stdout
