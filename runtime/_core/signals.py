"""What the machinery of iteration raises for its own use, and no user ever sees.

To an iterator's consumer `StopIteration` means "no more items", wherever it comes from.
So where one leaves a function or a sequence of the user's, it goes on as `StopRaised`,
which nobody takes for an end, until the run of the chain unwraps it.

Layer: core.
"""

__all__ = ("Halted", "StopRaised")


class StopRaised(Exception):
    """The user's code raised a `StopIteration`: the only argument."""


class Halted(BaseException):
    """A leaf that is less than one position was told to stop."""
