"""The async hooks of a processor: Trio tasks before and after the handler.

Layer: processor. Imports: trio, outcome.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import outcome
import trio

from .._frontend.protected import run_unprotected, start_task
from .request import Request

__all__ = ("Hook", "Hooks")

type Hook = Callable[[Any], Awaitable[object]]
type Then = Callable[[Request, outcome.Maybe[object]], None]


class Hooks:
    """Runs hooks, each in a task of its own; the processor's bound limits them.

    Thread safety: externally synchronized, by the Trio thread.
    """

    __slots__ = ("_nursery", "_scopes")

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self._scopes: dict[Request, trio.CancelScope] = {}

    def start(self, hook: Hook, request: Request, value: object, then: Then) -> None:
        """Run a hook for a request; call ``then(request, outcome)`` afterwards."""
        self._scopes[request] = scope = trio.CancelScope()
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
        with scope:
            try:
                result = outcome.Value(await run_unprotected(hook, value))
            except Exception as error:  # the request's outcome
                result = outcome.Error(error)
        if self._scopes.pop(request, None) is not None and result is not None:
            then(request, result)
