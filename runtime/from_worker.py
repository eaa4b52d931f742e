"""From inside a job back into Trio; the counterpart of `trio.from_thread.run`."""

from ._frontend.from_worker import run, run_sync

__all__ = ("run", "run_sync")

# Where users find them, and where a worker's interpreter has its own.
run.__module__ = run_sync.__module__ = __name__
