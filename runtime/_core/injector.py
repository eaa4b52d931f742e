"""The queue for work that comes from outside the workers, in priority lanes.

One first-in-first-out queue per lane; workers take from the most urgent lane
that has something. A withdrawn job leaves an empty entry behind; when more than
half of a lane is empty entries, the lane is compacted, so a loop of submit and
withdraw behind a busy worker does not grow it without limit.

The injector does not know the bound: who submits counts what is out.

Layer: core. Imports: `job`, `sync`.
"""

from collections.abc import Iterable

from . import sync
from .job import WITHDRAWN, Job

__all__ = ("LANE_COUNT", "Injector")

LANE_COUNT = 3


class Injector:
    """A queue that any thread fills and any worker empties.

    Thread safety: internally synchronized.
    """

    __slots__ = ("_lanes", "_lock", "_withdrawn")

    def __init__(self) -> None:
        # No user code runs under this lock, and no other lock is taken.
        self._lock = sync.Lock()  # atomic: acquire, release
        # guarded by: self._lock; len() is also read without it, as a hint.
        self._lanes = tuple(sync.Deque[Job]() for _ in range(LANE_COUNT))
        self._withdrawn = [0] * LANE_COUNT  # guarded by: self._lock

    def __len__(self) -> int:
        """Return how many entries there were a moment ago, empty ones included."""
        return sum(map(len, self._lanes))

    def __bool__(self) -> bool:
        """Return whether there was an entry a moment ago."""
        high, normal, low = self._lanes
        return bool(high or normal or low)

    def push(self, job: Job) -> None:
        """Add a job at the end of its lane."""
        with self._lock:
            self._lanes[job.lane].append(job)

    def push_many(self, jobs: Iterable[Job]) -> None:
        """Add jobs at the ends of their lanes, in order, as one step."""
        with self._lock:
            for job in jobs:
                self._lanes[job.lane].append(job)

    def pop(self) -> Job | None:
        """Take the oldest entry of the most urgent lane; None if all are empty."""
        if not self:  # RACE: maybe stale; the last look before sleep is not
            return None
        with self._lock:
            for lane in self._lanes:
                if lane:
                    return lane.popleft()
        return None

    def note_withdrawn(self, job: Job) -> list[Job]:
        """Count one more empty entry, and compact its lane if that is worth it.

        Returns:
          The empty entries that were removed; the caller owes each its `Job.leave`.
        """
        # RACE: the entry may have been popped just before it was withdrawn; then
        # the count is one too high, a compaction comes a little early, and
        # compacting sets the count right.
        with self._lock:
            self._withdrawn[job.lane] += 1
            lane = self._lanes[job.lane]
            if 2 * self._withdrawn[job.lane] <= len(lane):
                return []
            self._withdrawn[job.lane] = 0
            return _compact(lane)


def _compact(lane: "sync.Deque[Job]") -> list[Job]:
    """Remove the empty entries from a lane and return them; under the lock."""
    removed: list[Job] = []
    kept: list[Job] = []
    # ORDER: one look at each phase; an entry that is withdrawn between two looks
    # would be in neither list, and lost.
    for entry in lane:
        (removed if entry.phase == WITHDRAWN else kept).append(entry)
    old_count = len(lane)
    # ORDER: add before removing; a worker that looks without the lock must not
    # find a lane empty that has a job, and go to sleep.
    lane.extend(kept)
    for _ in range(old_count):
        lane.popleft()
    return removed
