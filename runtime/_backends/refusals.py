"""Extension modules that a pool's interpreters refused to load, as home knows them.

How they are noted is in `refused`.

Layer: backends, main side.
"""

import json
import logging
import os
import sys
from collections.abc import Iterable

from . import crossinterp
from .refused import way_out_of_module

__all__ = ("Refusals", "modules_refused_by_importing")

_logger = logging.getLogger("runtime")

# Packages that the log has told of; it does so once in the process.
_told: set[str] = set()  # atomic: add

# Nothing may leave the code inside, and what it says goes through a pipe.
_PROBE = """\
import json, os, sys
sys.path[:] = path
from runtime._backends import refused
refused.watch()
try:
    __import__(module)
except BaseException as error:
    failure = f"{type(error).__name__}: {error}"
else:
    failure = None
with open(target, "w") as file:
    json.dump([[name for name, _ in refused.take_unsent()], failure], file)
"""


class Refusals:
    """What the interpreters of one pool have refused.

    Thread safety: externally synchronized, by the Trio thread.
    """

    def __init__(self, pool_name: str) -> None:
        self._pool_name = pool_name  # immutable
        self._names: dict[str, None] = {}  # owner: in order

    @property
    def names(self) -> tuple[str, ...]:
        """The modules, in the order in which they were first refused."""
        return tuple(self._names)

    def add(self, refused: Iterable[tuple[str, bool]]) -> None:
        """Add what one of them has refused; log it once if no error tells."""
        for name, is_silent in refused:
            self._names[name] = None
            package = name.partition(".")[0]
            if is_silent and package not in _told:
                _told.add(package)
                _logger.warning(
                    "pool %r: %s; if its package has slower Python code for that case, "
                    "it runs now",
                    self._pool_name,
                    way_out_of_module(name),
                )


def modules_refused_by_importing(module: str) -> tuple[tuple[str, ...], str | None]:
    """Return what an interpreter refuses when a module is imported, and the error.

    The module is imported into an interpreter of this process, made for it. Who needs a
    time limit, or cannot trust it, calls this in a child process: some extensions that
    claim to support interpreters end the process.

    Returns:
      The extension modules that were refused, and the import's own error as text; both
      may be there, since a package may do without its extension.
    """
    reader, writer = os.pipe()
    with open(reader) as source:
        with crossinterp.SETUP_LOCK:
            crossinterp.import_single_modules()
            number = crossinterp.create()
        names = {"path": tuple(sys.path), "module": module, "target": writer}
        try:
            failure = crossinterp.execute(number, _PROBE, names)
        finally:
            with crossinterp.SETUP_LOCK:
                crossinterp.destroy(number)
        if failure is not None:
            os.close(writer)
            return (), failure
        refused, error = json.load(source)
    return tuple(refused), error
