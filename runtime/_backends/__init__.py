"""How a worker executes a job, chosen by name.

May import `runtime._core`. The thread backend calls the job in place, which is what
a worker does by itself. The interpreter backend sends it to an interpreter that only
one worker runs in: what crosses, and how, is in CROSSING.md.

Importing the package imports nothing but the standard library: a worker's
interpreter does.
"""

import sys
from _thread import allocate_lock

from .._environment import variable
from .._errors import BackendUnavailableError

__all__ = (
    "BACKENDS",
    "backend_for",
    "choose_backend",
    "refuse_inside",
    "why_unavailable",
)

BACKENDS = ("threads", "interpreters")

_warned = allocate_lock()  # atomic: acquire; locked means it was said

# Whether this interpreter belongs to a worker of a pool.
is_inside = False  # owner: the worker; set before its first job


def refuse_inside(*_args: object, **_options: object) -> None:
    """Refuse to open a pool inside a pool's interpreter."""
    from . import main_module

    main_module.note_refusal()
    raise RuntimeError(
        "a worker's interpreter has no pool of its own; a job asks Trio to use one, by "
        "'runtime.from_worker.run(async_fn, *args)'"
    )


def why_unavailable(name: str) -> str | None:
    """Return why a backend cannot be used here and what to do; None if it can."""
    if name != "interpreters":
        return None
    try:
        import _interpreters  # noqa: F401
    except ImportError:
        return "this Python has no subinterpreters; use backend='threads'"
    # Late: a worker's interpreter imports this package, and does without the core.
    from .._core.selected import why_not_native

    if why_not_native is not None:
        return (
            f"interpreters need the native core, which {why_not_native}, or use "
            "backend='threads'"
        )
    if is_traced():
        return (
            "tracemalloc traces memory, which crashes CPython beside interpreters with "
            "a GIL; stop it (tracemalloc.stop(), no -X tracemalloc, no "
            "PYTHONTRACEMALLOC), or use backend='threads'"
        )
    return None


def is_traced() -> bool:
    """Return whether `tracemalloc` traces, and must not beside interpreters."""
    if not _has_gil():
        return False
    try:
        import _tracemalloc
    except ImportError:  # inside an interpreter
        return False
    return _tracemalloc.is_tracing()


def choose_backend(name: str) -> str:
    """Return the backend of a pool for a name or for ``"auto"``.

    Logs once if it is threads because interpreters, which ``"auto"`` prefers, are
    not available.

    Raises:
      ValueError, BackendUnavailableError: as `backend_for`.
      RuntimeError: this is a worker's interpreter.
    """
    if is_inside:
        refuse_inside()
    chosen = backend_for(name)
    is_best = name == "auto" and _from_environment() is None
    if is_best and chosen == "threads" and _has_gil():
        _warn_of_threads()
    return chosen


def backend_for(name: str) -> str:
    """Return the backend for a name or for ``"auto"``.

    For ``"auto"`` it is what ``RUNTIME_BACKEND`` in the environment says, or the
    best: threads where they run at the same time, else interpreters where there are
    some.

    Raises:
      ValueError: there is no backend of that name; if the environment named it,
        the error names the variable.
      BackendUnavailableError: there is, but not here; says why.
    """
    if name == "auto":
        name = _from_environment() or _best()
    if name not in BACKENDS:
        names = ", ".join(map(repr, ("auto", *BACKENDS)))
        raise ValueError(f"backend must be one of {names}, not {name!r}")
    reason = why_unavailable(name)
    if reason is not None:
        raise BackendUnavailableError(name, reason)
    return name


def _from_environment() -> str | None:
    return variable("RUNTIME_BACKEND", BACKENDS)


def _best() -> str:
    if _has_gil() and why_unavailable("interpreters") is None:
        return "interpreters"
    return "threads"


def _warn_of_threads() -> None:
    """Say once that threads are taken, which gain nothing where there is a GIL."""
    # ATOMIC(lock-acquire): of several threads that open a pool one says so.
    if not _warned.acquire(False):
        return
    import logging  # which no worker's interpreter should have to import

    logging.getLogger("runtime").warning(
        "pools use threads, which take turns in Python code: %s",
        why_unavailable("interpreters"),
    )


def _has_gil() -> bool:
    # Not from `_util`, whose imports every worker's interpreter would wait for.
    return sys._is_gil_enabled()
