"""Tiny helpers that belong to no layer.

Layer: rank 0.
"""

import math
import os
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import CoroutineType, FunctionType, MethodType, TracebackType
from typing import Any, NoReturn, TypeIs, cast

from ._unawaited import UNAWAITED

__all__ = (
    "IS_ASYNC",
    "available_cores",
    "awaitable_of",
    "callable_name",
    "called",
    "check_keywords",
    "check_sync_callable",
    "close_unawaited",
    "is_a",
    "is_gil_enabled",
    "made_by_opener",
    "refuse_coroutine",
    "traceback_of",
)

_CGROUP_V2 = Path("/sys/fs/cgroup/cpu.max")
_CGROUP_V1 = Path("/sys/fs/cgroup/cpu")


def is_gil_enabled() -> bool:
    """Return whether this process runs with a GIL right now."""
    return sys._is_gil_enabled()


def available_cores() -> int:
    """Return how many cores this process may use, at least 1.

    The smallest of: cores in the machine, the CPU affinity of this process
    (``taskset``), and the CPU quota of its control group (containers). A quota
    of 1.5 cores counts as 2: a worker more than the quota costs little, a core
    left idle costs a core.
    """
    cores = os.process_cpu_count() or 1
    quota = cgroup_quota()
    if quota is not None:
        cores = min(cores, math.ceil(quota))
    return max(1, cores)


def cgroup_quota(v2: Path = _CGROUP_V2, v1: Path = _CGROUP_V1) -> float | None:
    """Return the control group's CPU quota in cores; None where there is none."""
    try:
        quota, period = v2.read_text().split()[:2]
    except (OSError, ValueError):
        try:
            quota = (v1 / "cpu.cfs_quota_us").read_text()
            period = (v1 / "cpu.cfs_period_us").read_text()
        except OSError:
            return None
    try:
        cores = int(quota) / int(period)
    except (ValueError, ZeroDivisionError):  # "max" means no quota
        return None
    return cores if cores > 0 else None  # -1 means no quota in version 1


def check_keywords(keywords: Mapping[str, object], fn: object, call: str) -> None:
    """Raise TypeError for keywords that are no options of the call."""
    if keywords:
        bound = ", ".join(f"{name}={value!r}" for name, value in keywords.items())
        raise TypeError(
            f"{call} passes no keyword arguments on to the function; write instead: "
            f"{call}(functools.partial({callable_name(fn)}, {bound}), ...)"
        )


def made_by_opener(
    kind: str, opener: str, args: tuple[object, ...], options: Mapping[str, object]
) -> TypeError:
    """Return the misuse error for a class that is called where its opener should be."""
    given = [*map(repr, args), *(f"{key}={options[key]!r}" for key in options)]
    return TypeError(
        f"a {kind} is made by {opener.rpartition('.')[2]}; write instead: "
        f"{opener}({', '.join(given)}) as pool: ..."
    )


# As in `inspect`, which each worker's interpreter would have to import: functions that
# return a coroutine, an old-style one, or an async generator.
IS_ASYNC = 0x80 | 0x100 | 0x200


def check_sync_callable(
    fn: object,
    call: str,
    instead: str = "await pool.spawn({name}, ...)",
) -> None:
    """Raise the misuse error for what cannot be called on a worker.

    Args:
      fn: What the user gave.
      call: The public function the user called, for the message.
      instead: What to write for an async function, with ``{name}`` for its name.
    """
    if type(fn) is FunctionType and not fn.__code__.co_flags & IS_ASYNC:
        return  # the usual case, quickly
    if type(fn) is CoroutineType:
        fn.close()  # else Python warns that nobody awaited it
        raise TypeError(
            f"{call} needs a function and its arguments, not a coroutine; "
            f"write instead: {call}(fn, *args)"
        )
    if not callable(fn):
        raise TypeError(f"{call} needs a callable, not {fn!r}")
    if _is_async(fn):
        while isinstance(fn, partial):
            fn = fn.func
        name = callable_name(fn)
        raise TypeError(
            f"{call} needs a sync function, but {name} is async; write instead: "
            + instead.format(name=name)
        )


def _is_async(fn: object) -> bool:
    """Return whether calling it is known to give something to await or to iterate."""
    while isinstance(fn, partial):
        fn = fn.func
    if not isinstance(fn, FunctionType | MethodType | type):
        fn = getattr(type(fn), "__call__", fn)  # noqa: B004  # an object's own
    code = getattr(fn, "__code__", None)
    return code is not None and bool(code.co_flags & IS_ASYNC)


def refuse_coroutine(fn: object, value: Any, *others: object) -> NoReturn:
    """Raise for a function that only turned out to be async when it was called.

    Args:
      fn: The function.
      value: What it returned, of a type in `UNAWAITED`.
      others: What further calls of it returned.
    """
    kind = close_unawaited(value, *others)
    while isinstance(fn, partial):
        fn = fn.func
    name, inner = callable_name(fn), value.__qualname__
    whose = "" if inner == name else f" of the async function {inner}"
    in_trio = ""
    if type(value) is CoroutineType:
        in_trio = f", or in Trio: await pool.spawn({inner}, ...)"
    raise TypeError(
        f"{name} returned {kind}{whose} and has done nothing: workers call sync "
        f"functions only; write def {inner}(...) without async{in_trio}"
    )


def close_unawaited(*values: object) -> str:
    """Close what nobody will await; return what to call the first that is such."""
    kinds: list[str] = []
    for value in values:
        if type(value) is CoroutineType:
            value.close()  # else Python warns that nobody awaited it
        if type(value) in UNAWAITED:
            is_coroutine = type(value) is CoroutineType
            kinds.append("a coroutine" if is_coroutine else "an async generator")
    return kinds[0]


def called(fn: Callable[..., Any], *args: Any) -> Any:
    """Call a function that must be sync; see `refuse_coroutine`."""
    value = fn(*args)
    if type(value) in UNAWAITED:
        refuse_coroutine(fn, value)
    return value


def awaitable_of(async_fn: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    """Call an async function of a job's that Trio is to run; return what to await."""
    awaitable = async_fn(*args)
    if hasattr(awaitable, "__await__"):
        return awaitable
    name = callable_name(async_fn)
    raise TypeError(
        f"from_worker.run() needs an async function, but {name} returned nothing to "
        f"await; write instead: runtime.from_worker.run_sync({name}, ...)"
    )


def callable_name(fn: object) -> str:
    """Return what to call a job that was given no name."""
    return getattr(fn, "__qualname__", None) or type(fn).__qualname__


def is_a[E](error: object, kind: type[E]) -> TypeIs[E]:
    """Return whether an error is of a kind, whatever it says of its own class.

    `isinstance` would ask the error's ``__class__``, which is the user's.
    """
    return issubclass(type(error), kind)


def traceback_of(error: BaseException) -> TracebackType | None:
    """Return an error's traceback, whatever its class makes of that attribute."""
    return cast("TracebackType | None", _traceback.__get__(error))


_traceback = vars(BaseException)["__traceback__"]
