"""Extension modules that this interpreter refused to load, seen where that happens.

A package may have slower Python code for the case that its extension cannot be loaded,
and swallows the error. So each refusal is noted, in the functions of CPython that load
every extension; the worker sends home what it has noted before it answers the job
(`child`), and there it is told (`refusals`).

The error itself gets a note with the way out; and so does one of another kind that was
made of it, NumPy's for one (`add_way_out`). What such an error tells is not *silent*.

Layer: backends, both sides; only a worker's interpreter watches.
"""

import _imp
import sys

TYPE_CHECKING = False  # not from typing, which is slow to import
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

# Names of modules, and whether nobody was told by an error.
type Refused = tuple[tuple[str, bool], ...]

__all__ = (
    "WAY_OUT",
    "Refused",
    "add_way_out",
    "advice",
    "has_unsent",
    "module_refused_in",
    "note_again",
    "take_unsent",
    "tell",
    "watch",
    "way_out_of_module",
)

WAY_OUT = "use a pool with backend='threads'"

# What the refusals have in common, of CPython, Cython, PyO3, NumPy and the like.
_WORDS = (
    "subinterpreter",
    "interpreter change detected",
    "one interpreter per process",
    "once per process",
    "once per interpreter process",
)

# What the standard library tries and does without, with no slower code: `traceback` for
# each error that it formats, `pdb` when it is imported.
_DISPENSABLE = frozenset({"_suggestions", "readline"})

# Threads gain nothing then, unless the work lets go of the GIL. By the build, for an
# import may turn the GIL on.
_HAS_GIL = "free-threading" not in sys.version
_OR_PROCESSES = ", or processes if it holds the GIL" if _HAS_GIL else ""

# An error may be made of another that is made of another ... Arbitrary.
_MAX_DEPTH = 20

# Each module that was refused, in order, and whether silently; the second: what home
# may not know yet.
_sent: dict[str, bool] = {}  # atomic: set item
_unsent: dict[str, bool] = {}  # atomic: set item, pop item


def advice() -> str:
    """Return what to do about a module that is refused."""
    return f"{WAY_OUT} for work that needs it{_OR_PROCESSES}"


def way_out_of_module(name: str) -> str:
    """Return what a refusal means and what helps, in a line."""
    return f"module {name!r} does not support subinterpreters: {advice()}"


def watch() -> None:
    """Note from now on what this interpreter refuses to load."""
    for name in ("create_builtin", "create_dynamic", "exec_builtin", "exec_dynamic"):
        setattr(_imp, name, _watched(getattr(_imp, name)))


def _watched[**P, R](load: "Callable[P, R]") -> "Callable[P, R]":
    def call(*args: "P.args", **options: "P.kwargs") -> "R":
        try:
            return load(*args, **options)
        except ImportError as error:
            note(args[0], error)
            raise

    # Then tracebacks of imports leave it out, as they do the import machinery.
    call.__code__ = call.__code__.replace(co_filename="<frozen importlib._bootstrap>")
    return call


def note(subject: "Any", error: ImportError) -> None:
    """Note an error in loading an extension, if it is a refusal.

    Args:
      subject: The module, or what is known of it before it is made.
    """
    text = str(error).lower()
    if not any(words in text for words in _WORDS) or _name_in(error) is not None:
        return  # or it came from a module that this one imports
    name: str = getattr(subject, "name", None) or subject.__name__
    error.name = name
    error.add_note(way_out_of_module(name))
    if name not in _DISPENSABLE:
        _unsent[name] = True  # unless somebody tells


def take_unsent() -> "Refused":
    """Return what was noted since the last time, but for what home knows."""
    news: list[tuple[str, bool]] = []
    while _unsent:
        name, is_silent = _unsent.popitem()
        if name not in _sent or (is_silent and not _sent[name]):
            _sent[name] = is_silent
            news.append((name, is_silent))
    return tuple(reversed(news))


def note_again() -> None:
    """Have `take_unsent` return all: another home asks."""
    _unsent.update(_sent)
    _sent.clear()


def has_unsent() -> bool:
    """Return whether `take_unsent` may have something to return."""
    return bool(_unsent)


def module_refused_in(error: BaseException | None) -> str | None:
    """Return the module whose refusal an error is made of; None if it is another."""
    for _ in range(_MAX_DEPTH):
        if error is None:
            break
        name = _name_in(error)
        if name is not None:
            return name
        error = error.__cause__ or error.__context__
    return None


def tell(error: BaseException) -> str | None:
    """Return what `module_refused_in` does, to somebody who tells it."""
    name = module_refused_in(error)
    if name is None and issubclass(type(error), ImportError) and _unsent:
        name = next(reversed(_unsent))  # raised from None, say
    if name in _unsent:
        _unsent[name] = False
    return name


def add_way_out(error: BaseException) -> None:
    """Have an error that a refusal has led to say so, in its last line."""
    name = tell(error)
    if name is not None and _name_in(error) is None:
        error.add_note(way_out_of_module(name))


def _name_in(error: BaseException) -> str | None:
    name: str | None = None
    if issubclass(type(error), ImportError):
        name = getattr(error, "name", None)
    if name is None or way_out_of_module(name) not in getattr(error, "__notes__", ()):
        return None
    return name
