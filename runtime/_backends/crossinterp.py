"""The one file that touches the interpreters of CPython.

`concurrent.interpreters` (3.14) and the back port for 3.13 stand on the private module
`_interpreters`, which is the same in both. It is used here directly: for a resident
worker the public classes add nothing, and their finalizers end an interpreter that
may still run.

What kills or hangs the process, and how this file avoids it:

* An exception that leaves `exec` is formatted in C, and some crash there: the code
  that runs inside catches everything by itself.
* Several interpreters that import the same of certain modules at once corrupt
  memory, unless the main interpreter has imported them before: see `SINGLE_MODULES`.
  And they are created, set up and destroyed one at a time.
* `tracemalloc` must not trace beside them, where there is a GIL: see `tracing`.
* The end of an interpreter waits for its threads; the end of the process waits for
  its interpreters. Their owner destroys each in the thread that ran it.

Layer: backends, main side.
"""

import _interpreters
import importlib
import logging
import os
import threading

__all__ = (
    "SETUP_LOCK",
    "ask",
    "count",
    "create",
    "destroy",
    "execute",
    "import_single_modules",
)

# Held while an interpreter is created, set up or destroyed. No other lock is taken
# under it but those of the imports.
SETUP_LOCK = threading.Lock()

# The numbers of those that were not destroyed.
_alive: set[int] = set()  # atomic: add, discard
_logger = logging.getLogger("runtime")

# Modules whose C part two interpreters must not set up at once; what imports them (the
# network modules, sqlite3) is safe with them. tests/backends/test_storm.py watches.
SINGLE_MODULES = ("datetime", "zoneinfo", "calendar", "csv", "decimal", "_interpqueues")


def import_single_modules() -> None:
    """Import in the main interpreter what the others must not import first."""
    for name in SINGLE_MODULES:
        try:
            importlib.import_module(name)
        except ImportError:  # an installation without it
            pass


def create() -> int:
    """Make an isolated interpreter and return its number."""
    number: int = _interpreters.create("isolated", reqrefs=False)
    _alive.add(number)
    return number


def execute(number: int, code: str, names: dict[str, object]) -> str | None:
    """Run code in the interpreter, in this thread; return the text of an error."""
    failure = _interpreters.exec(number, code, names)
    return None if failure is None else failure.errdisplay or failure.formatted


def ask(number: int, code: str, names: dict[str, object]) -> str | None:
    """Run code as `execute` does; return the message of the error that it raises.

    The message must be ASCII: CPython crashes when it cannot encode one.
    """
    failure = _interpreters.exec(number, code, names)
    return None if failure is None else failure.msg or "an error without a message"


def count() -> int:
    """Return how many interpreters there are."""
    return len(_alive)


def destroy(number: int) -> None:
    """End an interpreter that runs nothing."""
    _interpreters.destroy(number)
    _alive.discard(number)


def _warn_of_fork() -> None:
    """Say what CPython will do to the child, since nothing can keep it from that."""
    if _alive:
        _logger.warning(
            "fork() beside %d interpreter(s) of a pool: the child crashes or hangs in "
            "CPython; start a process without preexec_fn, or with multiprocessing's "
            "'spawn'",
            len(_alive),
        )


if hasattr(os, "register_at_fork"):
    # A thread that is gone may have held the lock.
    remake = getattr(SETUP_LOCK, "_at_fork_reinit")  # noqa: B009  # not in stubs
    os.register_at_fork(before=_warn_of_fork, after_in_child=remake)
