"""An exception on its way to another interpreter.

It is sent as text, and as a pickle where that works both ways. The receiver gets the
same type, with the text as its ``__cause__`` (that is where Python shows it); or,
where the type cannot be rebuilt, a `TaskFailed` that shows the text.

Layer: backends, both sides.
"""

from _pickle import dumps, loads

from .._errors import TaskFailed
from .refused import add_way_out

TYPE_CHECKING = False  # not from typing, which is slow to import
if TYPE_CHECKING:
    from typing import Any

__all__ = (
    "RemoteTraceback",
    "describe",
    "loadable",
    "printable",
    "rebuild",
    "summary_of",
    "without_frames_of",
)

# Whatever a class of the user's makes of the name.
_traceback_of = BaseException.__dict__["__traceback__"].__get__


def without_frames_of(error: BaseException, *files: str) -> BaseException:
    """Cut our frames from the top of a traceback: the user's call is what failed."""
    traceback = _traceback_of(error)
    while traceback is not None and traceback.tb_frame.f_code.co_filename in files:
        traceback = traceback.tb_next
    return BaseException.with_traceback(error, traceback)


class RemoteTraceback(Exception):
    """The traceback of an error in another interpreter, as text."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f"\n\n{self.text}"


def describe(error: BaseException) -> tuple[str, str, bytes | None]:
    """Return an error's summary, its traceback and its pickle; never raises."""
    try:
        add_way_out(error)
    except Exception:  # a class of the user's
        pass
    return summary_of(error), _traceback(error), _pickled(error)


def rebuild(summary: str, traceback: str, pickled: bytes | None) -> BaseException:
    """Return the error that `describe` described."""
    error: object = None
    if pickled is not None:
        try:
            error = _made(loads(pickled))
        except Exception:
            error = None
    if not isinstance(error, BaseException):
        return TaskFailed(f"{summary}\n\n{traceback}")
    # Of an error that no Python raised there may be no more to tell than itself.
    tells_more = not summary.endswith(traceback.strip())
    if tells_more and error.__cause__ is None:
        error.__cause__ = RemoteTraceback(traceback)
    return error


def _pickled(error: BaseException) -> bytes | None:
    """Return a pickle that is known to load as the same type."""
    return loadable(error, error) or loadable(_parts(error), error)


def loadable(form: object, error: BaseException) -> bytes | None:
    """Return a pickle of the form, if it loads as the error's type; never raises."""
    try:
        data = dumps(form, 5)
        return data if type(_made(loads(data))) is type(error) else None
    except BaseException:
        return None


def _parts(error: BaseException) -> tuple[object, ...] | None:
    """Return what an error is made of, if its type has no say in how it is pickled.

    Pickle would call the type with ``error.args``, which are those of
    ``super().__init__()``: often a message, where the type's own takes something else.
    """
    if type(error).__reduce__ is not BaseException.__reduce__:
        return None
    return type(error), error.args, error.__dict__


def _made(loaded: "Any") -> object:
    """Return the error that was pickled, whole or in parts."""
    if not isinstance(loaded, tuple):
        return loaded
    kind, args, attributes = loaded
    error = kind.__new__(kind, *args)  # sets ``args``
    error.__dict__.update(attributes)
    return error


def summary_of(error: BaseException) -> str:
    """Return an error's type and message; never raises."""
    kind = f"{type(error).__module__}.{type(error).__qualname__}"
    try:
        return printable(f"{kind}: {error}")
    except BaseException:  # its __str__ may do anything
        return printable(kind)


def _traceback(error: BaseException) -> str:
    try:
        from traceback import format_exception

        return printable("".join(format_exception(error)))
    except BaseException:
        return f"(the traceback of {type(error).__qualname__} cannot be formatted)"


def printable(text: str) -> str:
    """Return text that can be encoded anywhere."""
    return text.encode("utf-8", "backslashreplace").decode()
