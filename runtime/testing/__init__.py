"""For users' tests: a pool that runs its jobs in the Trio thread."""

from .._iter.pool import inline_pool

__all__ = ("inline_pool",)
