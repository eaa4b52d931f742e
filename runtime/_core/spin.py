"""Whether a worker that finds nothing should look again and again before it sleeps.

A thread that spins offers its core to others between two looks: whoever is to bring the
next job may be waiting for it. Where other programs compute, each offer costs a whole
time slice, and the kernel never gives it back: a pool that spins would get less than
its share. An offer that kept the thread away for `YIELD_LONG_NS` shows that, and nobody
spins here for a while, twice as long each time. A thread that sleeps instead keeps its
claim: it gets a core soon after it is woken.

Layer: core.
"""

from . import sync

__all__ = ("Spin",)

# Long against a turn of a thread that waits for events, short against a time slice,
# which is about 3 ms.
YIELD_LONG_NS = 1_000_000
# Short against what anybody notices, long against what the look costs. Arbitrary.
FIRST_REST_NS = 50_000_000
MAX_REST_NS = 1_600_000_000


class Spin:
    """What one worker has learnt about the cost of its offers.

    Thread safety: externally synchronized; each worker owns one.
    """

    __slots__ = ("_rest_ns", "_rests_until_ns")

    def __init__(self) -> None:
        self._rest_ns = 0  # owner: how long the last rest was; 0 for none
        self._rests_until_ns = 0  # owner

    def offer(self) -> bool:
        """Offer the core to another thread; False: do not look again, sleep."""
        begin_ns = sync.clock_ns()
        if self._rest_ns and begin_ns < self._rests_until_ns:
            return False
        sync.yield_core()
        now_ns = sync.clock_ns()
        if now_ns - begin_ns < YIELD_LONG_NS:
            self._rest_ns //= 2  # a short one may have been luck
            return True
        self._rest_ns = min(max(2 * self._rest_ns, FIRST_REST_NS), MAX_REST_NS)
        self._rests_until_ns = now_ns + self._rest_ns
        return False
