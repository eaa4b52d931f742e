"""A token of the user's limiter, lent to one call until its job has ended.

Layer: frontend. Imports: `options`.
"""

from typing import Self

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
