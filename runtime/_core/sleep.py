"""Who sleeps, who searches, who waits elsewhere, and whom to wake.

The protocols are SLEEP.md and, for spare threads, SPARES.md.

Layer: core. Imports: `parker`, `sync`.
"""

from collections.abc import Callable

from . import sync
from .parker import Parker

__all__ = ("Sleep",)


class Sleep:
    """What the workers of one registry know about each other's sleep.

    Args:
      worker_count: How many workers are to be present.

    Thread safety: internally synchronized.
    """

    __slots__ = (
        "_lock",
        "_num_idle",
        "_num_joining",
        "_num_present",
        "_reserve",
        "_sleepers",
        "_worker_count",
        "excess",
        "num_away",
    )

    def __init__(self, worker_count: int = 1) -> None:
        self._worker_count = worker_count  # immutable
        # No user code runs under this lock, and no other lock is taken.
        self._lock = sync.Lock()  # atomic: acquire, release
        self._num_idle = 0  # guarded by: self._lock
        # Last to sleep is first to wake: its caches are the warmest.
        self._sleepers: list[Parker] = []  # guarded by: self._lock
        self._reserve: list[Parker] = []  # guarded by: self._lock
        # RACE: workers read it without the lock; a stale answer lets one job begin
        # too early, and the next search sees it.
        self.excess: bool = False  # guarded by: self._lock
        self._num_present = worker_count  # guarded by: self._lock
        self._num_joining = 0  # guarded by: self._lock
        self.num_away: int = 0  # guarded by: self._lock

    def is_anyone_idle(self) -> bool:
        """Return whether some worker had nothing to do a moment ago (a hint)."""
        # RACE: read without the lock; a stale answer costs the caller a poll.
        return self._num_idle > 0 or bool(self._sleepers)

    def num_sleeping(self) -> int:
        """Return how many workers are sleepy or sleeping."""
        with self._lock:
            return len(self._sleepers)

    def work_posted(self) -> None:
        """Wake somebody for new work, unless somebody is searching already."""
        with self._lock:
            if self._num_idle > 0:
                return
            parker = self._take_sleeper()  # POST-2 choose
        if parker is not None:
            parker.unpark()  # POST-3 wake

    def wake_all(self) -> None:
        """Wake every sleeper, those in reserve too; for the order to stop."""
        while True:
            with self._lock:
                if self._reserve:
                    self._count(1)
                    self._sleepers.append(self._reserve.pop())
                parker = self._take_sleeper()  # POST-2 choose
            if parker is None:
                return
            parker.unpark()  # POST-3 wake

    def become_idle(self) -> None:
        """Announce that the calling worker searches."""
        with self._lock:
            self._num_idle += 1  # SLEEP-1 idle

    def become_active(self, sees_more_work: Callable[[], bool]) -> None:
        """Announce that the calling worker found a job; wake the next if need be.

        Args:
          sees_more_work: Looks at every arrival path. Called without the lock.
        """
        with self._lock:
            self._num_idle -= 1  # SLEEP-2 active
            assert self._num_idle >= 0, f"num_idle fell to {self._num_idle}"
            if self._num_idle > 0 or not self._sleepers:
                return
        # ORDER: look after the decrement; a poster that saw us idle woke nobody
        # and counts on this look to see its job.
        if sees_more_work():
            self.work_posted()

    def become_sleepy(self, parker: Parker) -> None:
        """Announce that the calling worker will sleep unless the last look helps."""
        with self._lock:
            if self.excess:
                self._count(-1)  # SPARE-5 step down
                _enlist(self._reserve, parker)
            else:
                _enlist(self._sleepers, parker)  # SLEEP-3 sleepy
            self._num_idle -= 1
            assert self._num_idle >= 0, f"num_idle fell to {self._num_idle}"

    def stay_awake(self, parker: Parker, *, is_stopping: bool = False) -> bool:
        """Take the announcement back after a last look that found something.

        Args:
          is_stopping: Whether the order to stop was given.

        Returns:
          True: the worker is idle again. False: it is not needed, or a waker was
          faster and its token is on the way; park.
        """
        with self._lock:
            if parker in self._sleepers:
                self._sleepers.remove(parker)  # SLEEP-4 found something
                self._num_idle += 1
                return True
            if parker not in self._reserve:
                return False
            if is_stopping:
                self._reserve.remove(parker)
                self._count(1)
                self._num_idle += 1
                return True
        self.work_posted()  # SPARE-6 for somebody else
        return False

    def _take_sleeper(self) -> Parker | None:
        """Remove one sleeper and count it idle. The caller holds the lock."""
        if not self._sleepers:
            return None
        self._num_idle += 1
        return self._sleepers.pop()

    # Spares

    def leave(self, fresh: Parker | None = None) -> bool:
        """Count the calling worker away, if another can be present instead.

        Args:
          fresh: The parker of a spare that was just started; it parks.

        Returns:
          False: nobody is in reserve; start a spare.
        """
        with self._lock:
            if fresh is not None:
                _enlist(self._reserve, fresh)
            if self.excess:
                self._count(-1)  # SPARE-1 leave
            elif self._reserve:
                self._sleepers.insert(0, self._reserve.pop())
            else:
                return False
            self.num_away += 1
            return True

    def come_back(self) -> None:
        """Count the calling worker present again."""
        with self._lock:
            self.num_away -= 1
            if self._sleepers:
                _enlist(self._reserve, self._sleepers.pop(0))  # SPARE-4 come back
            else:
                self._count(1)

    def begin_join(self) -> bool:
        """Count the calling worker as parked in a join.

        Returns:
          False: nobody else could run anything; leave instead.
        """
        with self._lock:
            if self._num_present - self._num_joining <= 1:
                return False
            self._num_joining += 1  # SPARE-8 park in a join
            self._count(0)
            return True

    def end_join(self) -> None:
        """Count the calling worker as one that runs again."""
        with self._lock:
            self._num_joining -= 1
            self._count(0)

    def _count(self, change: int) -> None:
        """Count present workers, and see if they are too many; under the lock."""
        self._num_present += change
        self.excess = (
            self._num_present > self._worker_count
            and self._num_present - self._num_joining > 1
        )

    def retire(self, parker: Parker) -> bool:
        """Take a spare out that has slept for long; False if it is needed."""
        with self._lock:
            if parker in self._reserve:
                self._reserve.remove(parker)  # SPARE-7 retire
                return True
            if parker not in self._sleepers:
                return False
            if not self._reserve or self._reserve[-1].is_spare:
                return False
            self._sleepers.remove(parker)
            self._sleepers.append(self._reserve.pop())
            return True


def _enlist(parkers: list[Parker], parker: Parker) -> None:
    """Add a parker to a stack: on top, but for a spare's, which comes last."""
    parkers.insert(0 if parker.is_spare else len(parkers), parker)
