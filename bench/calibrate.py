"""How many loops of `spin` take a given time on this interpreter."""

import time

from .work import spin

__all__ = ("loops_for",)

TRIALS = 30  # arbitrary; the fastest of them is the least disturbed
PROBE_LOOPS = 5_000  # arbitrary: a few tenths of a millisecond


def loops_for(seconds: float) -> int:
    """Return the loop count for which `spin` takes about `seconds`.

    Measured once per run, while nothing else of ours is running. All contenders of
    a round get the same count, so an error here moves none of the ratios.
    """
    fastest_ns = min(_time_ns(PROBE_LOOPS) for _ in range(TRIALS))
    return max(1, round(PROBE_LOOPS * seconds * 1e9 / fastest_ns))


def _time_ns(loops: int) -> int:
    start_ns = time.perf_counter_ns()
    spin(loops)
    return time.perf_counter_ns() - start_ns
