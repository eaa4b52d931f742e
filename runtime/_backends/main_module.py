"""The ``__main__`` of a worker's interpreter: the program's, run when it is needed.

A function of the script is sent as "``f`` of ``__main__``". Inside, ``__main__`` is
empty; the first look for something in it runs the script again, as `multiprocessing`
does, under another name, so that what follows ``if __name__ == "__main__"`` does not.

Layer: backends, both sides.
"""

import os
import sys

TYPE_CHECKING = False  # not from typing, which is slow to import
if TYPE_CHECKING:
    from types import TracebackType

__all__ = (
    "INSIDE",
    "has_failed",
    "has_script",
    "install",
    "main_name",
    "note_refusal",
)

INSIDE = "__mp_main__"  # the name that scripts already know from multiprocessing


def main_name() -> tuple[str, str] | None:
    """Return how the program's ``__main__`` can be run again; None if it cannot."""
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if spec is not None and spec.name != "__main__":
        return "module", spec.name
    path = getattr(main, "__file__", None)
    if path is None or path == "<stdin>":
        return None
    # Of a directory or an archive that was run it is the file in it.
    return "path", path if spec is None else os.path.dirname(path)


_program: tuple[str, str] | None = None  # owner: the worker
# Whether the script, run again, has asked for a pool.
_was_refused = False  # atomic: a single store


def has_script() -> bool:
    """Return whether, in a worker's interpreter, there is a script to run again."""
    return _program is not None


def note_refusal() -> None:
    """Note that something here asked for a pool."""
    global _was_refused
    _was_refused = True


# What the script has raised, and where; one at most.
_failures: "list[tuple[BaseException, TracebackType | None]]" = []  # owner: the worker


def has_failed() -> bool:
    """Return whether, in a worker's interpreter, the script has raised an error."""
    return bool(_failures)


def install(program: tuple[str, str] | None) -> None:
    """Make this interpreter's ``__main__`` fill itself at the first look.

    By a function of the module, for 3.14 refuses a ``__main__`` of another class.
    """
    global _program
    _program = program
    names = sys.modules["__main__"].__dict__
    to_run = [program] if program is not None else []

    def look_up(attribute: str) -> object:
        if to_run and not attribute.startswith("__"):
            global _was_refused
            _was_refused = False  # what a job asked for before is another matter
            try:
                names.update(_run(*to_run.pop()))
            except BaseException as error:  # later looks fail for the same reason
                failure = _explained(error)
                _failures.append((failure, failure.__traceback__))
            if attribute in names:
                return names[attribute]
        if _failures:
            failure, traceback = _failures[0]
            raise failure.with_traceback(traceback)
        raise AttributeError(f"module '__main__' has no attribute {attribute!r}")

    names["__getattr__"] = look_up


def _run(kind: str, name: str) -> dict[str, object]:
    import runpy  # only where it is needed: every worker would pay for it

    run = runpy.run_module if kind == "module" else runpy.run_path
    names: dict[str, object] = run(name, run_name=INSIDE)
    # What the script defined says so, and is sent back under that name.
    for value in list(names.values()):
        if getattr(value, "__module__", None) == INSIDE:
            try:
                value.__module__ = "__main__"
            except (AttributeError, TypeError):
                pass
    return names


def _explained(error: BaseException) -> BaseException:
    """Return the error to raise for what a script raised that was run again."""
    place = _last_line(error)
    if _was_refused:
        # What Trio and we made of it on the way tells nothing.
        return RuntimeError(
            f"put 'if __name__ == \"__main__\":' before {place}: a worker's "
            "interpreter runs the script once more to find its functions, and has no "
            "pool of its own"
        )
    if isinstance(error, Exception):
        return error
    failure = RuntimeError(
        f"a worker's interpreter runs the script once more to find its functions, and "
        f"{place} raised {error!r} there: put 'if __name__ == \"__main__\":' before it"
    )
    failure.__cause__ = error  # not raised here: it would end the caller's program
    return failure


def _last_line(error: BaseException) -> str:
    """Return which line of the script, at its top level, an error came from."""
    traceback, place = error.__traceback__, "its last line"
    while traceback is not None:
        frame = traceback.tb_frame
        code, name = frame.f_code, frame.f_globals.get("__name__")
        if (code.co_name, name) == ("<module>", INSIDE):
            place = f"line {traceback.tb_lineno} of {code.co_filename}"
        traceback = traceback.tb_next
    return place
