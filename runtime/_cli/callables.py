"""Find the user's function: ``MODULE:CALLABLE``.

Layer: cli.
"""

import difflib
import importlib
import inspect
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any

from .exits import CommandError
from .one_line import one_line

__all__ = ("check_callable", "import_from_here", "load_callable")


def import_from_here() -> None:
    """Make modules in the current directory importable."""
    here = os.getcwd()
    if "" not in sys.path and here not in sys.path:
        sys.path.insert(0, here)


def load_callable(spec: str) -> Callable[..., Any]:
    """Return what ``MODULE:CALLABLE`` names; `check_callable` has accepted it."""
    module_name, _, path = spec.partition(":")
    target: Any = importlib.import_module(module_name)
    for name in path.split("."):
        target = getattr(target, name)
    function: Callable[..., Any] = target
    return function


def check_callable(spec: str) -> None:
    """Import ``MODULE:CALLABLE``, so that workers find it ready.

    Raises:
      CommandError: it is not there or not a plain callable. The user's own
        mistake is told in one line, wherever in the import it happened.
    """
    module_name, colon, path = spec.partition(":")
    if module_name.endswith(".py") or os.sep in module_name:
        module_name = _as_module(module_name)
        raise CommandError(
            f"{spec!r} names a file; give its module: {module_name}:{path or 'NAME'}"
        )
    if not (module_name and colon and path):
        raise CommandError(
            f"{spec!r} is not MODULE:CALLABLE; write for example json:loads"
        )
    target = _import_module(module_name)
    for name in path.split("."):
        target = _attribute(target, name, spec)
    if not callable(target):
        kind = type(target).__name__
        raise CommandError(f"{spec} is not callable: it is of type {kind}")
    if inspect.iscoroutinefunction(target):
        raise CommandError(f"{spec} is an async function; give a plain one")


def _as_module(path: str) -> str:
    """Return what to call a file of this directory as a module."""
    relative = os.path.relpath(path).removesuffix(".py")
    return relative.replace(os.sep, ".").lstrip(".")


def _import_module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or name
        if name == missing or name.startswith(missing + "."):
            raise CommandError(
                f"there is no module {missing!r} here or among the installed packages"
            ) from None
        raise _failed_import(name, error) from None
    except (Exception, SystemExit) as error:
        raise _failed_import(name, error) from None


def _failed_import(name: str, error: BaseException) -> CommandError:
    where = _place(error)
    return CommandError(f"importing {name} failed{where}: {one_line(error)}")


def _place(error: BaseException) -> str:
    """Return where the user's module failed, as `` at FILE:LINE``."""
    if isinstance(error, SyntaxError) and error.filename:
        return f" at {error.filename}:{error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    users = [frame for frame in frames if not _is_import_machinery(frame.filename)]
    return f" at {users[-1].filename}:{users[-1].lineno}" if users else ""


def _is_import_machinery(filename: str) -> bool:
    ours = filename == __file__ or filename == importlib.__file__
    return ours or filename.startswith("<frozen importlib")


def _attribute(target: Any, name: str, spec: str) -> Any:
    try:
        return getattr(target, name)
    except AttributeError:
        owner = getattr(target, "__name__", repr(target))
        near = difflib.get_close_matches(name, dir(target), n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise CommandError(f"{spec}: {owner!r} has no {name!r}{hint}") from None
