"""Who is to blame if something cannot cross: the object, and the way to it.

Layer: backends, both sides.
"""

from functools import partial
from types import (
    BuiltinMethodType,
    FunctionType,
    MethodType,
    ModuleType,
)

from .._errors import CrossingError
from .._unawaited import UNAWAITED
from .encoding import dumps
from .main_module import INSIDE, has_script
from .refused import WAY_OUT, advice, module_refused_in

__all__ = (
    "call_cannot_cross",
    "cannot_cross",
    "cannot_cross_either",
    "check_crosses",
    "check_fn_crosses",
    "fn_cannot_cross",
    "item_cannot_cross",
    "item_name",
    "not_found",
    "refusal",
)

TYPE_CHECKING = False  # not from typing, which is slow to import
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MAX_DEPTH = 20


def cannot_cross(value: object, name: str, error: Exception) -> CrossingError:
    """Return the error that names the innermost object that cannot be sent.

    Args:
      value: What was to be sent.
      name: What the user calls it, such as ``"args"``.
      error: What sending it raised.
    """
    for _ in range(MAX_DEPTH):
        found = _refused_part(value)
        if found is None:
            break
        step, value, error = found
        name += step
    return CrossingError(
        f"{name} cannot cross to another interpreter: {_shown(value)}; "
        f"{_advice(value)} ({_said(error)})"
    )


def cannot_cross_either(name: str, error: Exception) -> CrossingError:
    """Return the error for one more of many things, without a look into it."""
    return CrossingError(f"{name} cannot cross to another interpreter ({_said(error)})")


def check_crosses(value: object, name: str) -> None:
    """Raise `CrossingError` unless an object can be sent."""
    reason = refusal(value)
    if reason is not None:
        raise cannot_cross(value, name, reason) from reason


def call_cannot_cross(
    fn: object,
    args: object,
    error: Exception,
    names: tuple[str, str] = ("fn", "args"),
) -> CrossingError:
    """Return the error for a call that cannot be sent; ``names`` are the user's."""
    reason = refusal(fn)
    if reason is not None:
        return cannot_cross(fn, names[0], reason)
    return cannot_cross(args, names[1], error)


def fn_cannot_cross(call: object, error: Exception) -> CrossingError:
    """Return the error for the function in a call of ours that cannot be sent."""
    return cannot_cross(_given(call), "fn", error)


def check_fn_crosses(call: object) -> None:
    """Raise `CrossingError` unless the function in a call of ours can be sent."""
    check_crosses(_given(call), "fn")


def _given(call: object) -> object:
    """Return the function that the user gave."""
    if not isinstance(call, partial):
        return call
    module = getattr(call.func, "__module__", None)  # str.upper has none, for one
    is_ours = str(module).rpartition(".")[0] == __package__
    return call.args[0] if is_ours else call


def item_cannot_cross(
    items: "Sequence[object]", first: int | None, error: Exception
) -> CrossingError:
    """Return the error for some items that cannot be sent; ``first`` as below."""
    for index, item in enumerate(items):
        reason = refusal(item)
        if reason is not None:
            return cannot_cross(item, item_name(index, first), reason)
    name = "items" if first is None else f"items from {first} on"
    return cannot_cross(items, name, error)


def item_name(index: int, first: int | None) -> str:
    """Return what the user calls one of some items.

    Args:
      first: The index that the first of them has among all; None if the user counts
        none.
    """
    return "item" if first is None else f"items[{first + index}]"


def not_found(error: Exception) -> Exception:
    """Return the error for what a worker could not find by its name."""
    if isinstance(error, ImportError):
        return _import_failed(error)
    if not any(name in str(error) for name in ("__main__", INSIDE)):
        return error
    where = "under 'if __name__ == \"__main__\":', or later than at its import"
    if not has_script():
        where = "at the prompt, in a notebook, with -c, or read from standard input"
    return CrossingError(
        f"a worker's interpreter did not find what it was sent by name ({error}): it "
        f"was made {where}, where the worker does not come; put it into a module, or "
        f"{WAY_OUT}"
    )


def _import_failed(error: ImportError) -> CrossingError | ImportError:
    name = module_refused_in(error)  # of a package's own error, NumPy's for one, too
    if name is None:
        return error
    return CrossingError(
        f"module {name!r} cannot be imported by an interpreter of the pool: it does "
        "not support subinterpreters; if the function does not need it, put the "
        f"function into a module that does not import it, else {advice()}"
    )


def refusal(value: object) -> Exception | None:
    """Return what sending an object raises; None if it can be sent."""
    try:
        dumps(value)
    except Exception as error:
        # Its frames hold what it is kept in, and so all that they see.
        BaseException.with_traceback(error, None)
        return error
    return None


def _refused_part(value: object) -> tuple[str, object, Exception] | None:
    """Return the way to a part that cannot be sent, the part, and why not."""
    try:
        for step, part in _parts(value):
            reason = refusal(part)
            if reason is not None:
                return step, part, reason
    except Exception:  # what was asked is the user's
        pass
    return None


def _parts(value: object) -> "Iterator[tuple[str, object]]":
    """Yield what an object is made of, with the way to it."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield f"[{_shown(key)}]", part
            yield f"'s key {_shown(key)}", key
    elif isinstance(value, (list, tuple)):
        for index, part in enumerate(value):
            yield f"[{index}]", part
    elif isinstance(value, (set, frozenset)):
        for part in value:
            yield "'s item", part
    elif isinstance(value, partial):
        yield ".func", value.func
        yield ".args", value.args
        yield ".keywords", value.keywords
    elif isinstance(value, MethodType | BuiltinMethodType):
        yield ".__self__", value.__self__
    elif not isinstance(value, (type, FunctionType, ModuleType)):
        for attribute, part in getattr(value, "__dict__", {}).items():
            yield f".{attribute}", part
        for kind in type(value).__mro__:
            for attribute in kind.__dict__.get("__slots__", ()):
                if hasattr(value, attribute):
                    yield f".{attribute}", getattr(value, attribute)


def _shown(value: object) -> str:
    try:
        text = repr(value)
    except BaseException:
        text = f"an object of {type(value).__qualname__}"
    return text if len(text) <= 200 else text[:200] + "..."


def _said(error: Exception) -> str:
    kind = type(error).__name__
    try:
        return f"{kind}: {error}"
    except Exception:
        return kind


def _advice(value: object) -> str:
    try:
        is_function = callable(value) and hasattr(value, "__qualname__")
    except Exception:
        is_function = False
    if is_function:
        return (
            "a function is sent by its name, so define it with 'def' at the top level "
            f"of a module, or {WAY_OUT}"
        )
    if type(value) in UNAWAITED:
        return "its function is async; write instead: await pool.spawn(async_fn, *args)"
    if isinstance(value, memoryview):
        return "make it contiguous, or send bytes"
    return f"send what it is made of (numbers, text, bytes), or {WAY_OUT}"
