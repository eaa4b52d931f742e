"""What `sniffio` finds in a job's context variables.

Inside a job no async library runs. Under AnyIO the variable of the job's caller says
otherwise, and a library that asks would believe that it may not start a loop of its
own. In what a job has Trio run for it, Trio runs again.

Layer: core.
"""

import sys
from contextvars import Context, ContextVar

from .selected import own_context

__all__ = ("enter_trio", "job_context")


def job_context() -> Context:
    """Return a copy of the calling context for a job, in which no library runs."""
    context = own_context()
    if context:
        variable = _variable()
        if variable is not None and context.get(variable) is not None:
            context.run(variable.set, None)
    return context


def enter_trio(context: Context) -> None:
    """Say in a copy of a job's context that Trio runs there, as `trio` itself does."""
    variable = _variable()
    if variable is not None:
        context.run(variable.set, "trio")


def _variable() -> ContextVar[str | None] | None:
    return getattr(sys.modules.get("sniffio"), "current_async_library_cvar", None)
