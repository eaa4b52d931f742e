"""What becomes of open pools when the process forks.

The child has a copy of each pool's queues and none of its workers. There every pool
refuses its work, and what is queued stays with the parent, which notices nothing.

Layer: frontend. Imports: `intake` for types.
"""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .intake import Intake

__all__ = ("forget", "track")

_open: "set[Intake]" = set()  # atomic: add, discard

track = _open.add
forget = _open.discard


def _after_fork_in_child() -> None:
    while _open:
        _open.pop().after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
