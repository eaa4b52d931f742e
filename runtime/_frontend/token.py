"""The front end's cancel token: a request to stop that also reaches into Trio.

A job may be waiting in `from_worker.run` when it is asked to stop; then the
request must cancel what runs for it in Trio. All pieces of a batch share one.

Layer: frontend.
"""

from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING

import trio

from .._backends.leaf import token_of_job
from .._core import CancelToken
from .._errors import CancelReason, JobCancelled, JobInterrupted

if TYPE_CHECKING:
    from .._backends.base import Interrupt
    from .call import Call
    from .intake import Intake

__all__ = ("WorkToken", "current_token", "is_end", "token_within")


def is_end(error: BaseException) -> bool:
    """Return whether the error is what ends a job that was asked to stop."""
    # Not isinstance: it would ask the error's __class__, which is the user's.
    return issubclass(type(error), (JobCancelled, JobInterrupted))


class WorkToken(CancelToken):
    """Tells one piece of accepted work to stop, and knows its way home.

    A task of the async lane has one, too.

    Thread safety: `is_set` from any thread; all else in the Trio thread.
    """

    __slots__ = (
        "_interrupt",
        "asker",
        "cancels_requests",
        "host",
        "host_scope",
        "intake",
        "is_watched",
        "may_interrupt",
        "reason",
        "scopes",
        "waiters",
    )

    def __init__(self, intake: "Intake", *, may_interrupt: bool = False) -> None:
        super().__init__()
        self.may_interrupt: bool = may_interrupt  # immutable
        # Whether its jobs may be interrupted, or reported as stuck.
        self.is_watched: bool = may_interrupt or intake.is_watched  # immutable
        self._interrupt: Interrupt | None = None  # owner: the Trio thread
        self.intake: Intake = intake  # immutable
        # The work that had Trio bring this one, and may wait for it.
        self.asker: WorkToken | None = current_token.get()  # atomic: a single store
        # Who asked first; None: the waiter's own cancel scope, or nobody.
        self.reason: CancelReason | None = None  # owner: the Trio thread
        # The call whose task can run what `from_worker.run` asks for.
        self.host: Call | None = None  # owner: the Trio thread
        # Around what that task runs, where the job may end meanwhile.
        self.host_scope: trio.CancelScope | None = None  # owner: the Trio thread
        self.scopes: set[trio.CancelScope] | None = None  # owner: the Trio thread
        # Whether what runs in Trio for its jobs is cancelled, now and from now on.
        self.cancels_requests: bool = False  # owner: the Trio thread
        # Tasks that wait for the work and are not its host (`waits`).
        self.waiters: tuple[trio.lowlevel.Task, ...] = ()  # owner: the Trio thread

    def __reduce__(self) -> tuple[Callable[[], object], tuple[()]]:
        """Become, inside another interpreter, the token of the job that runs there."""
        return token_of_job, ()

    def request_stop(self, reason: CancelReason | None) -> None:
        """Set the token and cancel what runs in Trio for the job."""
        self.abandon(reason)
        self.cancels_requests = True
        for scope in self.scopes or ():
            scope.cancel()

    def abandon(self, reason: CancelReason | None) -> None:
        """Set the token of a job that nobody waits for any more.

        What it has run in Trio is let finish, as in a thread that Trio abandons.
        """
        if self.reason is None:
            self.reason = reason
        self.is_set = True
        self.intake.backend.request_stop(self)

    def request_interrupt(self, is_over: Callable[[], bool]) -> None:
        """Have what runs with the token interrupted, if that is allowed; once.

        Args:
          is_over: Tells from any thread whether nothing will run with it any more.
        """
        if not self.may_interrupt or self._interrupt is not None or is_over():
            return
        self._interrupt = self.intake.backend.interrupt(self, is_over)

    def is_unreached(self) -> bool:
        """Return whether an interrupt was asked for and could not be raised so far."""
        return self._interrupt is not None and not self._interrupt.was_met

    def settle(self) -> None:
        """Note that the work is over, and so is what it asked for in Trio."""
        self.asker = None  # else a chain of them could grow without end
        # In threads it has ended, for the job waits for it; but a worker may die.
        for scope in self.scopes or ():
            scope.cancel()
        if self.host_scope is not None:
            self.host_scope.cancel()
        if self._interrupt is not None:
            self._interrupt.settle()


# The token of the work this context belongs to; inherited by tasks that work starts.
# What was accepted may use its pool until it is done.
current_token: ContextVar[WorkToken | None] = ContextVar("current_token", default=None)


def token_within(intake: "Intake") -> WorkToken | None:
    """Return the token of the pool's work that is calling; None outside of it."""
    token = current_token.get()
    return token if token is not None and token.intake is intake else None
