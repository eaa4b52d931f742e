"""Notice that an import has turned the GIL on, and say so once.

A build without a GIL turns it on for good when an extension is imported that has not
declared that it runs without. From then on the threads of a pool take turns, and nobody
would know why. CPython warns of the module, but where a warning goes is not where the
pool's user looks, and it is easily lost in a worker.

Workers look when they park and now and then between two jobs, pools when they open,
when they close and for statistics. While any extension is being loaded the GIL is on
for a moment; so it counts only once CPython has named the module, or if it is still on
`SETTLED_NS` later.

Layer: core.
"""

import logging
import sys

from .._util import is_gil_enabled
from . import sync

__all__ = ("look", "reason", "tell_at_open")

# Long against the time in which a module is loaded. Arbitrary.
SETTLED_NS = 2_000_000_000

WAY_OUT = (
    "PYTHON_GIL=0 in the environment keeps it off, which often works; else use that "
    "module in another process"
)

# The build's own choice; the GIL of others is always on.
_HAS_CHOICE = "free-threading" in sys.version

# How CPython's warning begins (Python/import.c).
_WARNING = "The global interpreter lock (GIL) has been enabled to load module '"

_logger = logging.getLogger("runtime")


class _Watch:
    """What is known of the GIL of this process.

    Thread safety: internally synchronized.
    """

    __slots__ = ("_claim", "_since_ns")

    def __init__(self) -> None:
        self._since_ns = 0  # atomic: a single store; when it was first seen on
        self._claim = sync.Lock()  # atomic: acquire; locked means it was said

    def look(self) -> None:
        """Log it, once, if the GIL has been turned on."""
        if not is_gil_enabled():
            self._since_ns = 0
            return
        if self._claim.locked():
            return
        now_ns = sync.clock_ns()
        if not self._since_ns:
            self._since_ns = now_ns
        module = _find_module()
        if module is not None or now_ns - self._since_ns >= SETTLED_NS:
            self.say(_describe(module))

    def say(self, text: str) -> None:
        """Log it, once."""
        # ATOMIC(lock-acquire): of several threads that notice it one says so.
        if self._claim.acquire(False):
            _logger.warning("%s", text)


def _find_module() -> str | None:
    """Return which import turned the GIL on, if CPython's warning was shown."""
    for module in sys.modules.copy().values():
        shown = getattr(module, "__dict__", {}).get("__warningregistry__")
        if not isinstance(shown, dict):
            continue
        for key in shown.copy():
            text = key[0] if isinstance(key, tuple) else None
            if isinstance(text, str) and text.startswith(_WARNING):
                return text.removeprefix(_WARNING).partition("'")[0]
    return None


def _describe(module: str | None) -> str:
    subject = "an import" if module is None else f"the import of {module!r}"
    return (
        f"{subject} has turned the GIL on in this process, so its threads no longer "
        f"run Python at the same time. {WAY_OUT}"
    )


def reason() -> str | None:
    """Return how the GIL came to be on, and what to do about it; None if it is off.

    None, too, if the build has no choice, or the user has asked for the GIL.
    """
    if not is_gil_enabled() or not _HAS_CHOICE or getattr(sys.flags, "gil", None) == 1:
        return None
    return _describe(_find_module())


def tell_at_open(pool_name: str, backend: str) -> None:
    """Log, once, that a pool opens where the GIL was turned on, and what it gets."""
    if (why := reason()) is not None:
        _watch.say(f"pool {pool_name!r} runs its jobs in {backend}: {why}")


def _nothing() -> None:
    """Look at nothing: the GIL was on from the beginning."""


_watch = _Watch()
# Called between jobs, so it has to be cheap.
look = _nothing if is_gil_enabled() else _watch.look
