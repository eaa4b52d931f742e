"""A token of the user's limiter, lent to one call until its job has ended.

Layer: frontend.
"""

from typing import Self

import outcome

from .options import Limiter

__all__ = ("Loan",)


class Loan:
    """The borrower of one token. Thread safety: the Trio thread's."""

    __slots__ = ("_limiter",)

    def __init__(self, limiter: Limiter) -> None:
        self._limiter = limiter  # immutable

    @classmethod
    async def take(cls, limiter: Limiter) -> Self:
        """Wait for a token."""
        if not hasattr(limiter, "acquire_on_behalf_of"):
            raise TypeError(f"limiter must be a trio.CapacityLimiter, not {limiter!r}")
        loan = cls(limiter)
        await limiter.acquire_on_behalf_of(loan)
        return loan

    def give_back(self) -> None:
        """Return the token."""
        self._limiter.release_on_behalf_of(self)

    def give_back_after(
        self, result: outcome.Maybe[object] | None
    ) -> outcome.Error | None:
        """Return the token after a job; what the limiter raises becomes the answer.

        The job's own error is chained to it, as if the release stood in a ``finally``.
        """
        try:
            self.give_back()
        except BaseException as error:
            if isinstance(result, outcome.Error):
                _chain(error, result.error)
            return outcome.Error(error)
        return None


def _chain(error: BaseException, earlier: BaseException) -> None:
    """Put an error at the end of another's contexts, as Python does for ``raise``."""
    seen = {id(error)}
    while error.__context__ is not None and id(error.__context__) not in seen:
        error = error.__context__
        seen.add(id(error))
    if id(earlier) not in seen:
        error.__context__ = earlier
