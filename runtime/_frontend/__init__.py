"""Structured concurrency on Trio: the pool, and the ways to give it work.

May import `runtime._core`, `runtime._backends` and trio. A job's life is followed
from `spawn_cpu_work` to the answer in docs/explanation/architecture.md.
"""

import trio

from .._errors import PoolClosedError

# Here, since a worker's interpreter imports the errors, but neither this package nor
# Trio; and whoever has a pool that can be closed has imported it.
PoolClosedError.__bases__ += (trio.ClosedResourceError,)
