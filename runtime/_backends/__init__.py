"""How a worker executes a job, chosen by name.

May import `runtime._core`. The thread backend calls the job in place, which is what
a worker does by itself; the interpreter backend is not built yet.
"""

from .._errors import BackendUnavailableError

__all__ = ("BACKENDS", "choose_backend", "why_unavailable")

BACKENDS = ("threads", "interpreters")


def why_unavailable(name: str) -> str | None:
    """Return why a backend cannot be used here and what to do; None if it can."""
    if name == "interpreters":
        return "this version runs jobs in threads only; use backend='threads'"
    return None


def choose_backend(name: str) -> str:
    """Return the backend for a name or for ``"auto"``.

    Raises:
      ValueError: there is no backend of that name.
      BackendUnavailableError: there is, but not here; says why.
    """
    if name == "auto":
        return "threads"
    if name not in BACKENDS:
        names = ", ".join(map(repr, ("auto", *BACKENDS)))
        raise ValueError(f"backend must be one of {names}, not {name!r}")
    reason = why_unavailable(name)
    if reason is not None:
        raise BackendUnavailableError(name, reason)
    return name
