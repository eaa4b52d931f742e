"""Who sleeps, who searches, and whom to wake. The protocol is SLEEP.md.

Layer: core. Imports: `parker`, `sync`.
"""

from collections.abc import Callable

from . import sync
from .parker import Parker

__all__ = ("Sleep",)


class Sleep:
    """What the workers of one registry know about each other's sleep.

    Thread safety: internally synchronized.
    """

    __slots__ = ("_lock", "_num_idle", "_sleepers")

    def __init__(self) -> None:
        # No user code runs under this lock, and no other lock is taken.
        self._lock = sync.Lock()  # atomic: acquire, release
        self._num_idle = 0  # guarded by: self._lock
        # Last to sleep is first to wake: its caches are the warmest.
        self._sleepers: list[Parker] = []  # guarded by: self._lock

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
        """Wake every sleeper; for the order to stop."""
        while True:
            with self._lock:
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
            self._sleepers.append(parker)  # SLEEP-3 sleepy
            self._num_idle -= 1
            assert self._num_idle >= 0, f"num_idle fell to {self._num_idle}"

    def stay_awake(self, parker: Parker) -> bool:
        """Take the announcement back after a last look that found something.

        Returns:
          True: the worker is idle again. False: a waker was faster; its token
          is on the way and has to be waited for.
        """
        with self._lock:
            if parker not in self._sleepers:
                return False
            self._sleepers.remove(parker)  # SLEEP-4 found something
            self._num_idle += 1
            return True

    def _take_sleeper(self) -> Parker | None:
        """Remove one sleeper and count it idle. The caller holds the lock."""
        if not self._sleepers:
            return None
        self._num_idle += 1
        return self._sleepers.pop()
