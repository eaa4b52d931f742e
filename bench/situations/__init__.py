"""The situations, one file each.

Every file has a ``run(settings)`` that measures and returns a `Report`. The order here
is the order in which they are run.
"""

from collections.abc import Callable
from importlib import import_module

from ..harness import Settings
from ..report import Report

__all__ = ("NAMES", "load")

NAMES = (
    "round_trip",
    "nursery_5000",
    "batch_1us",
    "jobs_0_6ms",
    "heavy_tail",
    "memory_per_job",
    "idle_pool",
    "loop_lag",
    "cancel_running",
    "stream_noop",
    "stream_busy",
    "stream_dispatch",
    "stream_memory",
    "http_service",
    "core_submit",
    "core_fork",
    "core_compare",
    "core_instructions",
    "call_path",
    "iter_chains",
    "iter_skew",
    "iter_small",
    "hypertile",
    "interpreters_jobs",
    "interpreters_call",
    "ask_trio",
    "interpreters_batch",
    "interpreters_shared",
    "interpreters_lag",
    "interpreters_costs",
)


def load(name: str) -> Callable[[Settings], Report]:
    """Return the `run` of a situation."""
    run: Callable[[Settings], Report] = import_module(f"{__name__}.{name}").run
    return run
