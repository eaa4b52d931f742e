"""The front end's cancel token: a request to stop that also reaches into Trio.

A job may be waiting in `from_worker.run` when it is asked to stop; then the
request must cancel what runs for it in Trio. All pieces of a batch share one.

Layer: frontend. Imports: `runtime._core`, trio.
"""

from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING

import trio

from .._backends.leaf import current_token
from .._core import CancelToken

if TYPE_CHECKING:
    from .._backends.transport import EncodedJob
    from .call import Call
    from .intake import Intake

__all__ = ("WorkToken", "accepted_by")

# The pool that accepted the work this context belongs to; inherited by tasks that
# work starts. What was accepted may use its pool until it is done.
accepted_by: ContextVar[object] = ContextVar("accepted_by", default=None)


class WorkToken(CancelToken):
    """Tells one piece of accepted work to stop, and knows its way home.

    Thread safety: `is_set` from any thread; all else in the Trio thread.
    """

    __slots__ = ("cause", "handles", "host", "intake", "scopes")

    def __init__(self, intake: "Intake") -> None:
        super().__init__()
        self.intake: Intake = intake  # immutable
        # Who asked, in the words that end TaskCancelled's message; None: the
        # waiter's own cancel scope, or nobody.
        self.cause: str | None = None  # owner: the Trio thread
        # The call whose task can run what `from_worker.run` asks for.
        self.host: Call | None = None  # owner: the Trio thread
        self.scopes: set[trio.CancelScope] | None = None  # owner: the Trio thread
        # Where its jobs are, if that is in other interpreters.
        self.handles: set[EncodedJob] | None = None  # owner: the Trio thread

    def __reduce__(self) -> tuple[Callable[[], object], tuple[()]]:
        """Become, inside another interpreter, the token of the job that runs there."""
        return current_token, ()

    def request_stop(self, cause: str | None) -> None:
        """Set the token and cancel what runs in Trio for the job."""
        if self.cause is None:
            self.cause = cause
        self.is_set = True
        for handle in self.handles or ():
            handle.request_stop()
        for scope in self.scopes or ():
            scope.cancel()
