"""What becomes of open pools when the process forks.

The child has a copy of each pool's queues and none of its workers. There every pool
refuses its work, and what is queued stays with the parent, which notices nothing.

Layer: frontend.
"""

import os
from typing import Protocol

__all__ = ("Forkable", "forget", "track")


class Forkable(Protocol):
    """What has workers of this process."""

    def after_fork(self) -> None:
        """Give up everything in a forked child."""


_open: set[Forkable] = set()  # atomic: add, discard

track = _open.add
forget = _open.discard


def _after_fork_in_child() -> None:
    while _open:
        _open.pop().after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
