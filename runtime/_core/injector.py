"""The queue for work that comes from outside the workers, in priority lanes.

One first-in-first-out queue per lane; workers take from the most urgent lane
that has something. A withdrawn job leaves an empty entry behind; when more than
half of a lane is empty entries, the lane is compacted, so a loop of submit and
withdraw behind a busy worker does not grow it without limit.

The injector does not know the bound: who submits counts what is out.

There is no lock: the collector may run the user's finalizers between any two lines of
Python, and they may come back here. Each change is one operation of a deque, and at no
moment is an entry in none.

Layer: core.
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

    __slots__ = ("_lanes", "_withdrawn")

    def __init__(self) -> None:
        # atomic: append, popleft, remove, rotate, len, index
        self._lanes = tuple(sync.Deque[Job]() for _ in range(LANE_COUNT))
        # As long as the lane has empty entries. atomic: append, clear, len
        self._withdrawn = tuple(sync.Deque[None]() for _ in range(LANE_COUNT))

    def __len__(self) -> int:
        """Return how many entries there were a moment ago, empty ones included."""
        return sum(map(len, self._lanes))

    def __bool__(self) -> bool:
        """Return whether there was an entry a moment ago."""
        high, normal, low = self._lanes
        return bool(high or normal or low)

    def push(self, job: Job) -> None:
        """Add a job at the end of its lane."""
        self._lanes[job.lane].append(job)

    def push_many(self, jobs: Iterable[Job]) -> None:
        """Add jobs at the ends of their lanes, in order."""
        for job in jobs:
            self._lanes[job.lane].append(job)

    def pop(self) -> Job | None:
        """Take the oldest entry of the most urgent lane; None if all are empty."""
        for lane in self._lanes:
            if not lane:  # RACE: maybe stale; the last look before sleep is not
                continue
            # ATOMIC(deque-popleft): of two that want the last entry one gets it.
            try:
                return lane.popleft()
            except IndexError:
                pass
        return None

    def note_withdrawn(self, job: Job) -> list[Job]:
        """Count one more empty entry, and compact its lane if that is worth it.

        Returns:
          The empty entries that were removed; the caller owes each its `Job.leave`.
        """
        # RACE: the entry may have been popped just before it was withdrawn; then
        # the count is one too high, a compaction comes a little early, and
        # compacting sets the count right.
        lane, withdrawn = self._lanes[job.lane], self._withdrawn[job.lane]
        withdrawn.append(None)
        if 2 * len(withdrawn) <= len(lane):
            return []
        withdrawn.clear()
        return _compact(lane)


def _compact(lane: "sync.Deque[Job]") -> list[Job]:
    """Remove the empty entries from a lane and return them.

    The lane turns once: each entry comes to the front, and goes to the end if it is
    kept. If others push or pop meanwhile, entries may change places.
    """
    removed: list[Job] = []
    for _ in range(len(lane)):
        # ATOMIC(deque-turn): no entry is out of the lane for a moment, where a worker
        # could not see it and would go to sleep.
        try:
            entry = lane[0]
            # RACE: a worker may take the entry now; then another one goes to the end,
            # or there is nothing to remove.
            if entry.phase == WITHDRAWN:
                lane.remove(entry)
                removed.append(entry)
            else:
                lane.rotate(-1)
        except (IndexError, ValueError):
            pass
    return removed
