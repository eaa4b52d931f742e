"""The async hooks of a processor: Trio tasks before and after the handler.

How a hook ends, and what becomes of its request:

* it returns, or raises an `Exception`: that is the request's outcome;
* its request was ended (REQ-6): nothing, the request has its answer;
* it raises a `trio.Cancelled` that is not of its own scope, a value kept from another
  task for instance: its request ends as one that cancelled itself;
* it raises anything else, a Ctrl-C for instance: the processor ends all requests, and
  the error leaves its block.

Layer: processor.
"""

from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import Any

import outcome
import trio

from .._frontend.options import callable_name
from .._frontend.protected import run_unprotected, start_task
from .._util import is_a
from .request import Request

__all__ = ("Hook", "Hooks")

type Hook = Callable[[Any], Awaitable[object]]
type Then = Callable[[Request, outcome.Maybe[object] | None], None]


class Hooks:
    """Runs hooks, each in a task of its own; the processor's bound limits them.

    Args:
      nursery: Where they run; an error that is no request's outcome is raised there.
      end_all: Ends all requests, before such an error is raised.

    Thread safety: externally synchronized, by the Trio thread.
    """

    __slots__ = ("_end_all", "_nursery", "_scopes")

    def __init__(self, nursery: trio.Nursery, end_all: Callable[[], None]) -> None:
        self._nursery = nursery
        self._end_all = end_all
        self._scopes: dict[Request, trio.CancelScope] = {}

    def start(self, hook: Hook, request: Request, value: object, then: Then) -> None:
        """Run a hook for a request; call ``then(request, outcome)`` afterwards.

        The outcome is None if the hook has cancelled itself.
        """
        # The scopes around the processor's block are the body's affair.
        scope = trio.CancelScope(shield=True)  # REQ-7 shield
        self._scopes[request] = scope
        start_task(self._nursery, self._run, scope, hook, request, value, then)

    def cancel(self, request: Request) -> bool:
        """Cancel the hook that runs for a request; False if there is none.

        Nothing follows any more: the caller answers the request.
        """
        scope = self._scopes.pop(request, None)
        if scope is None:
            return False
        scope.cancel()
        return True

    def requests(self) -> list[Request]:
        """Return the requests for which hooks run."""
        return list(self._scopes)

    async def _run(
        self,
        scope: trio.CancelScope,
        hook: Hook,
        request: Request,
        value: object,
        then: Then,
    ) -> None:
        result: outcome.Maybe[object] | None = None
        try:
            with scope:
                result = outcome.Value(await run_unprotected(_call, hook, value))
        except Exception as error:  # the request's outcome
            result = outcome.Error(error)
        except BaseException as error:
            if not _is_cancelled(error):
                self._end_all()
                raise
        if self._scopes.pop(request, None) is not None:
            then(request, result)


async def _call(hook: Hook, value: object) -> object:
    """Call the user's function; say what to write if it is not an async one."""
    awaitable: object = hook(value)
    if not isawaitable(awaitable):
        name = callable_name(hook)
        raise TypeError(
            f"a hook must be an async function, but {name} returned {awaitable!r}; "
            f"write instead: async def {name}(...)"
        )
    return await awaitable


def _is_cancelled(error: BaseException) -> bool:
    """Return whether an error is `trio.Cancelled`, or a group of nothing else."""
    if is_a(error, BaseExceptionGroup):
        return error.split(trio.Cancelled)[1] is None
    return is_a(error, trio.Cancelled)
