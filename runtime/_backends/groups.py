"""A group of exceptions on its way to another interpreter.

Each exception in it travels by itself (`errors`), so one that cannot be rebuilt is a
`TaskFailed` in its place, and harms no other. So does the group: one whose type or
attributes cannot cross becomes a plain group of the same exceptions.

Layer: backends, both sides.
"""

from _pickle import dumps, loads

from .errors import RemoteTraceback, loadable, printable, summary_of
from .refused import add_way_out

TYPE_CHECKING = False  # not from typing, which is slow to import
if TYPE_CHECKING:
    from typing import Any

    type Group = BaseExceptionGroup[BaseException]
    # The message, the traceback of the group alone, its type and attributes as far as
    # they are known to load, and the exceptions.
    type Described = tuple[str, str, bytes | None, list[BaseException]]

__all__ = ("crosses_as_it_says", "describe_group", "rebuild_group")

# Whatever a class of the user's makes of the names.
_message_of = vars(BaseExceptionGroup)["message"].__get__
_exceptions_of = vars(BaseExceptionGroup)["exceptions"].__get__


def crosses_as_it_says(group: "Group") -> bool:
    """Return whether a group has a way of its own to be pickled, which works."""
    if type(group).__reduce__ is BaseException.__reduce__:
        return False
    return loadable(group, group) is not None


def describe_group(group: "Group") -> "Described":
    """Return what `rebuild_group` makes a group of; never raises."""
    try:
        add_way_out(group)
    except Exception:  # a class of the user's
        pass
    message = printable(str(_message_of(group)))
    return message, _traceback(group), _made_of(group), list(_exceptions_of(group))


def rebuild_group(
    message: str,
    traceback: str,
    made_of: bytes | None,
    exceptions: "list[BaseException]",
) -> "Group":
    """Return a group of these exceptions, of its own type if that is known here."""
    group = _made(message, made_of, exceptions)
    if traceback:
        group.__cause__ = RemoteTraceback(traceback)
    return group


def _made(
    message: str, made_of: bytes | None, exceptions: "list[BaseException]"
) -> "Group":
    kind: Any = BaseExceptionGroup
    attributes: dict[str, object] = {}
    if made_of is not None:
        try:
            kind, attributes = loads(made_of)
            return _new(kind, message, exceptions, attributes)
        except Exception:
            # Its type may refuse what an exception has become; its notes are text.
            kind = BaseExceptionGroup
            notes = attributes.get("__notes__")
            attributes = {} if notes is None else {"__notes__": notes}
    return _new(kind, message, exceptions, attributes)


def _new(
    kind: "Any",
    message: str,
    exceptions: "list[BaseException]",
    attributes: dict[str, object],
) -> "Group":
    # Not by the type's own way, which may take anything.
    group: Group = BaseExceptionGroup.__new__(kind, message, exceptions)
    group.__dict__.update(attributes)
    return group


def _made_of(group: "Group") -> bytes | None:
    """Return a pickle, of as much as is known to load."""
    kind, attributes = type(group), group.__dict__
    notes = {name: value for name, value in attributes.items() if name == "__notes__"}
    plain = ExceptionGroup if isinstance(group, Exception) else BaseExceptionGroup
    for form in (
        (kind, attributes),
        (kind, notes),
        (plain, attributes),
        (plain, notes),
    ):
        try:
            data = dumps(form, 5)
            if loads(data)[0] is form[0]:
                return data
        except Exception:
            continue
    return None


def _traceback(group: "Group") -> str:
    """Return where the group was raised, and what from; its exceptions tell the rest.

    Empty if there is nothing to tell.
    """
    if not (group.__traceback__ or group.__cause__ or group.__context__):
        return ""
    try:
        from traceback import TracebackException

        shown = TracebackException.from_exception(group)
        shown.exceptions = None  # as if it were none
        return printable("".join(shown.format()))
    except BaseException:
        return f"(the traceback of {summary_of(group)} cannot be formatted)"
