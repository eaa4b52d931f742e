"""For users' tests: a pool in the Trio thread, and an end to kept interpreters."""

from .._frontend.fresh import end_kept_interpreters
from .._iter.pool import inline_pool

__all__ = ("end_kept_interpreters", "inline_pool")
