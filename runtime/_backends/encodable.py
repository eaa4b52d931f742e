"""A job that says itself how it crosses to an interpreter.

Layer: backends, main side.
"""

import outcome

from .._core import Job

__all__ = ("EncodableJob",)


class EncodableJob(Job):
    """A job that says itself how it crosses, and takes several answers."""

    __slots__ = ()

    def encode(self) -> tuple[tuple[object, ...], int]:
        """Return the frames, and the number of those that are its range and before."""
        raise NotImplementedError

    def take(
        self,
        answer: int,
        frames: tuple[object, ...],
        start: int,
        result: outcome.Maybe[object],
    ) -> None:
        """Take one of its answers; ``result`` is an error if the worker broke."""
        raise NotImplementedError
