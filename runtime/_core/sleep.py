"""Who sleeps, who searches, who waits elsewhere, and whom to wake.

The protocols are SLEEP.md and, for spare threads, SPARES.md.

All that is known is one value, which changes in single steps: no lock is held while
Python code runs, and that may be anything, since the collector runs the finalizers of
users wherever it likes.

Layer: core.
"""

from collections.abc import Callable
from typing import NamedTuple

from . import sync
from .parker import Parker

__all__ = ("Sleep",)


class _State(NamedTuple):
    """What is known at one moment; the tables of SLEEP.md and SPARES.md."""

    worker_count: int
    num_present: int
    num_idle: int = 0
    num_joining: int = 0
    num_away: int = 0
    # Last to sleep is first to wake: its caches are the warmest.
    sleepers: tuple[Parker, ...] = ()
    reserve: tuple[Parker, ...] = ()

    @property
    def excess(self) -> bool:
        """Whether one present worker is too many."""
        return (
            self.num_present > self.worker_count
            and self.num_present - self.num_joining > 1
        )


class Sleep:
    """What the workers of one registry know about each other's sleep.

    Args:
      worker_count: How many workers are to be present.

    Thread safety: internally synchronized.
    """

    __slots__ = ("_state",)

    def __init__(self, worker_count: int = 1) -> None:
        self._state = sync.Cell(_State(worker_count, worker_count))  # atomic: change

    @property
    def excess(self) -> bool:
        """Whether one present worker is too many (a hint).

        A stale answer lets one job begin too early, and the next search sees it.
        """
        return self._state.read().excess

    @property
    def num_away(self) -> int:
        """How many workers wait elsewhere, with another in their place."""
        return self._state.read().num_away

    def is_anyone_idle(self) -> bool:
        """Return whether some worker had nothing to do a moment ago (a hint)."""
        # RACE: a stale answer costs the caller a poll.
        state = self._state.read()
        return state.num_idle > 0 or bool(state.sleepers)

    def num_sleeping(self) -> int:
        """Return how many workers are sleepy or sleeping."""
        return len(self._state.read().sleepers)

    def work_posted(self) -> None:
        """Wake somebody for new work, unless somebody is searching already."""
        # ORDER: a step even if it changes nothing; what a worker sees in its last
        # look depends on which of two steps was first.
        parker = self._state.change(_take_sleeper)  # POST-2 choose
        if parker is not None:
            parker.unpark()  # POST-3 wake

    def wake_all(self) -> None:
        """Wake every sleeper, those in reserve too; for the order to stop."""
        for parker in self._state.change(_take_all):  # POST-2 choose
            parker.unpark()  # POST-3 wake

    def become_idle(self) -> None:
        """Announce that the calling worker searches."""
        self._state.change(_become_idle)

    def become_active(self, sees_more_work: Callable[[], bool]) -> None:
        """Announce that the calling worker found a job; wake the next if need be.

        Args:
          sees_more_work: Looks at every arrival path. Called between two steps.
        """
        state = self._state.change(_become_active)
        if state.num_idle > 0 or not state.sleepers:
            return
        # ORDER: look after the decrement; a poster that saw us idle woke nobody
        # and counts on this look to see its job.
        if sees_more_work():
            self.work_posted()

    def become_sleepy(self, parker: Parker) -> None:
        """Announce that the calling worker will sleep unless the last look helps."""

        def step(state: _State) -> tuple[_State, None]:
            num_idle = _one_less(state.num_idle)
            if state.excess:  # SPARE-5 step down
                reserve = _enlisted(state.reserve, parker)
                present = state.num_present - 1
                return sync.replace(
                    state, num_idle=num_idle, num_present=present, reserve=reserve
                ), None
            sleepers = _enlisted(state.sleepers, parker)  # SLEEP-3 sleepy
            return sync.replace(state, num_idle=num_idle, sleepers=sleepers), None

        self._state.change(step)

    def stay_awake(self, parker: Parker, *, is_stopping: bool = False) -> bool:
        """Take the announcement back after a last look that found something.

        Args:
          is_stopping: Whether the order to stop was given.

        Returns:
          True: the worker is idle again. False: it is not needed, or a waker was
          faster and its token is on the way; park.
        """

        def step(state: _State) -> tuple[_State, tuple[bool, bool]]:
            if parker in state.sleepers:  # SLEEP-4 found something
                sleepers = _without(state.sleepers, parker)
                num_idle = state.num_idle + 1
                return sync.replace(state, num_idle=num_idle, sleepers=sleepers), (
                    True,
                    False,
                )
            is_in_reserve = parker in state.reserve
            if not is_in_reserve or not is_stopping:
                return state, (False, is_in_reserve)
            return sync.replace(
                state,
                num_idle=state.num_idle + 1,
                num_present=state.num_present + 1,
                reserve=_without(state.reserve, parker),
            ), (True, False)

        is_idle, is_in_reserve = self._state.change(step)
        if is_in_reserve:
            self.work_posted()  # SPARE-6 for somebody else
        return is_idle

    # Spares

    def leave(self, fresh: Parker | None = None) -> bool:
        """Count the calling worker away, if another can be present instead.

        Args:
          fresh: The parker of a spare that was just started; it parks.

        Returns:
          False: nobody is in reserve; start a spare.
        """

        def step(state: _State) -> tuple[_State, bool]:
            reserve = state.reserve if fresh is None else (fresh, *state.reserve)
            if state.excess:  # SPARE-1 leave
                present = state.num_present - 1
                state = sync.replace(state, num_present=present, reserve=reserve)
            elif reserve:
                sleepers = (reserve[-1], *state.sleepers)
                state = sync.replace(state, sleepers=sleepers, reserve=reserve[:-1])
            else:
                return state, False
            return sync.replace(state, num_away=state.num_away + 1), True

        return self._state.change(step)

    def come_back(self) -> None:
        """Count the calling worker present again."""
        self._state.change(_come_back)

    def begin_join(self) -> bool:
        """Count the calling worker as parked in a join.

        Returns:
          False: nobody else could run anything; leave instead.
        """
        return self._state.change(_begin_join)

    def end_join(self) -> None:
        """Count the calling worker as one that runs again."""
        self._state.change(_end_join)

    def retire(self, parker: Parker) -> bool:
        """Take a spare out that has slept for long; False if it is needed."""

        def step(state: _State) -> tuple[_State, bool]:
            sleepers, reserve = state.sleepers, state.reserve
            if parker in reserve:  # SPARE-7 retire
                return sync.replace(state, reserve=_without(reserve, parker)), True
            if parker not in sleepers or not reserve or reserve[-1].is_spare:
                return state, False
            sleepers = (*_without(sleepers, parker), reserve[-1])
            return sync.replace(state, sleepers=sleepers, reserve=reserve[:-1]), True

        return self._state.change(step)


# Steps. Each returns the next state and what its caller wants to know.


def _take_sleeper(state: _State) -> tuple[_State, Parker | None]:
    """Remove one sleeper and count it idle, unless somebody searches."""
    if state.num_idle > 0 or not state.sleepers:
        return state, None
    *sleepers, parker = state.sleepers
    return sync.replace(state, num_idle=1, sleepers=tuple(sleepers)), parker


def _take_all(state: _State) -> tuple[_State, tuple[Parker, ...]]:
    """Remove all that sleep or are in reserve, and count them idle."""
    parkers = (*state.reserve, *state.sleepers)
    return sync.replace(
        state,
        num_idle=state.num_idle + len(parkers),
        num_present=state.num_present + len(state.reserve),
        sleepers=(),
        reserve=(),
    ), parkers[::-1]


def _become_idle(state: _State) -> tuple[_State, None]:
    return sync.replace(state, num_idle=state.num_idle + 1), None  # SLEEP-1 idle


def _become_active(state: _State) -> tuple[_State, _State]:
    state = sync.replace(state, num_idle=_one_less(state.num_idle))  # SLEEP-2 active
    return state, state


def _come_back(state: _State) -> tuple[_State, None]:
    state = sync.replace(state, num_away=state.num_away - 1)
    if not state.sleepers:
        return sync.replace(state, num_present=state.num_present + 1), None
    lowest, *sleepers = state.sleepers  # SPARE-4 come back
    reserve = _enlisted(state.reserve, lowest)
    return sync.replace(state, sleepers=tuple(sleepers), reserve=reserve), None


def _begin_join(state: _State) -> tuple[_State, bool]:
    if state.num_present - state.num_joining <= 1:
        return state, False
    return sync.replace(state, num_joining=state.num_joining + 1), True  # SPARE-8 park


def _end_join(state: _State) -> tuple[_State, None]:
    return sync.replace(state, num_joining=state.num_joining - 1), None


def _one_less(num_idle: int) -> int:
    assert num_idle > 0, f"num_idle fell to {num_idle - 1}"
    return num_idle - 1


def _enlisted(parkers: tuple[Parker, ...], parker: Parker) -> tuple[Parker, ...]:
    """Return a stack with one more: on top, but for a spare's, which comes last."""
    return (parker, *parkers) if parker.is_spare else (*parkers, parker)


def _without(parkers: tuple[Parker, ...], parker: Parker) -> tuple[Parker, ...]:
    """Return a stack with one less."""
    return tuple(other for other in parkers if other is not parker)
