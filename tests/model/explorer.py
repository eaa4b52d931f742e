"""Run a few threads under every schedule with a bounded number of preemptions.

A *story* makes some objects and names the threads that use them. The explorer
replaces what `runtime._core.sync` hands out by stepped versions, so that exactly
one thread runs at a time and each operation on a lock or a deque is a *step*: a
point where another thread may go first. It then plays the story once for each
schedule, depth first: a play repeats the choices of the one before up to the last
that still has an alternative, and takes the next alternative there.

A schedule is the list of its choices. A choice is the number of the thread that
goes on, among those that can; 0 is the thread that ran until now, if it can. To
take the turn from a thread that could go on is a *preemption*; only these are
bounded, because few bugs need more than two.

No step is made before a lock is released by the thread that holds it: whoever
waits for that lock could not go on any earlier, and whoever does not has had its
turn at the steps inside. Plain attributes are not seen. Where they matter,
``watch`` makes each read and write of some slots a step, and ``lines_of`` every line
of a source file.
"""

import collections
import contextlib
import itertools
import os
import random
import sys
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from types import FrameType
from typing import Any

from runtime._core import sync

__all__ = ("BadSchedule", "Play", "explore", "replay", "sample")

type Story = Callable[["Play"], Callable[[], None] | None]

# A play that is longer than this is taken to run for ever.
LONGEST_PLAY = 20_000
# How often a sampled schedule takes the turn from a thread that could go on.
PREEMPTION_RATE = 0.1
PATIENCE = 30.0


class BadSchedule(AssertionError):
    """A story went wrong under one schedule.

    Attributes:
      choices: The schedule; `replay` takes it.
      error: What went wrong.
    """

    def __init__(self, choices: list[int], error: BaseException) -> None:
        self.choices = choices
        self.error = error
        super().__init__(f"{error!r} under schedule {choices}")


class StuckError(AssertionError):
    """No thread of the play can go on, and some have not ended."""


class AbandonedError(BaseException):
    """Unwinds the threads of a play that has gone wrong."""


@dataclass
class _Choice:
    taken: int
    options: int


class _Actor:
    """An OS thread that plays one part in each play, when it is given the turn."""

    def __init__(self) -> None:
        # Quicker to hand over than a lock, which spins before it waits.
        self._turns = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_SEMAPHORE)
        self.perform: Callable[[], None] | None = None
        self._thread = threading.Thread(target=self._main, daemon=True)
        self._thread.start()

    def give_turn(self) -> None:
        os.eventfd_write(self._turns, 1)

    def wait_for_turn(self) -> None:
        os.eventfd_read(self._turns)

    def dismiss(self) -> None:
        """End the thread."""
        self.perform = None
        self.give_turn()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), "an actor waits outside of the seam"
        os.close(self._turns)

    def _main(self) -> None:
        self.wait_for_turn()
        while (perform := self.perform) is not None:
            perform()
            self.wait_for_turn()


class _Player:
    """One thread of a play."""

    def __init__(self, name: str, actor: _Actor) -> None:
        self.name = name
        self.actor = actor
        self.is_ready: Callable[[], bool] = _always
        self.may_time_out = False
        self.has_ended = False


class _PlayerHandle:
    """What `sync.start_thread` returns inside a play."""

    def __init__(self, play: "Play", player: _Player) -> None:
        self._play = play
        self._player = player

    def join(self) -> None:
        self._play.wait_until(lambda: self._player.has_ended)


class Play:
    """One performance of a story under one schedule."""

    def __init__(
        self,
        prefix: Sequence[int],
        preemptions: int | None,
        lines_of: Collection[str],
        actors: list[_Actor],
        dice: random.Random | None = None,
    ) -> None:
        self.trail: list[_Choice] = []
        self.error: BaseException | None = None
        self._prefix = prefix
        self._preemptions_left = sys.maxsize if preemptions is None else preemptions
        self._lines_of = lines_of
        self._actors = actors
        self._dice = dice
        self._players: list[_Player] = []
        self._by_ident: dict[int, _Player] = {}
        self._is_over = threading.Event()
        self._is_abandoned = False
        self._is_choosing = False
        self._steps = 0
        self._now_ns = 0

    # For stories

    def thread(self, target: Callable[[], object], name: str = "") -> _PlayerHandle:
        """Add a thread that runs ``target()``."""
        number = len(self._players)
        if number == len(self._actors):
            self._actors.append(_Actor())
        player = _Player(name or f"thread {number}", self._actors[number])
        player.actor.perform = partial(self._perform, player, target)
        self._players.append(player)
        return _PlayerHandle(self, player)

    def step(self) -> None:
        """Let another thread go first, or not."""
        self._step(_always)

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Let others run until the condition holds."""
        self._step(condition)

    # The seam

    def lock(self) -> "_Lock":
        """Stand in for `sync.Lock`."""
        return _Lock(self)

    def start_thread(self, target: Callable[[], None], name: str) -> _PlayerHandle:
        """Stand in for `sync.start_thread`."""
        return self.thread(target, name)

    def clock_ns(self) -> int:
        """Stand in for `sync.clock_ns`: later at each call."""
        self._now_ns += 1
        return self._now_ns

    def is_playing(self) -> bool:
        """Return whether the calling thread is one of the play's."""
        return threading.get_ident() in self._by_ident

    # The schedule

    def run(self) -> None:
        """Play from the first step to the last."""
        if not self._players:
            return
        self._hand_over(self._players[0], is_free=True)
        if not self._is_over.wait(PATIENCE):
            raise TimeoutError("a thread of the play waits outside of the seam")

    def _perform(self, player: _Player, target: Callable[[], object]) -> None:
        if self._is_abandoned:
            return
        self._by_ident[threading.get_ident()] = player
        try:
            if self._lines_of:
                sys.settrace(self._trace)
            target()
        except AbandonedError:
            pass
        except BaseException as error:
            self._abandon(error)
        finally:
            if self._lines_of:
                sys.settrace(None)
            del self._by_ident[threading.get_ident()]
            player.has_ended = True
            if not self._is_abandoned:
                self._hand_over(player, is_free=True)

    def _trace(self, frame: FrameType, event: str, _arg: object) -> Any:
        if self._is_choosing or frame.f_code.co_filename not in self._lines_of:
            return None
        if event == "line":
            self.step()
        return self._trace

    def _step(self, is_ready: Callable[[], bool], may_time_out: bool = False) -> None:
        player = self._by_ident.get(threading.get_ident())
        if player is None:  # the story's beginning or its check
            assert may_time_out or is_ready(), "would wait for ever outside a thread"
            return
        if self._is_abandoned:
            raise AbandonedError
        player.is_ready, player.may_time_out = is_ready, may_time_out
        if self._hand_over(player) is not player:
            player.actor.wait_for_turn()
        if self._is_abandoned:
            raise AbandonedError
        player.is_ready, player.may_time_out = _always, False

    def _hand_over(self, player: _Player, *, is_free: bool = False) -> _Player | None:
        """Choose who goes on, and let it; None if nobody can."""
        self._steps += 1
        # A story's conditions are asked in here; their lines are not steps.
        self._is_choosing = True
        others = [p for p in self._players if p is not player or is_free]
        can_go_on = not is_free and player.is_ready()
        options = [player] if can_go_on else []
        if self._preemptions_left or not can_go_on:
            options += [p for p in others if not p.has_ended and p.is_ready()]
            options += [p for p in self._players if _may_only_time_out(p)]
        self._is_choosing = False
        if not options or self._steps > LONGEST_PLAY:
            self._end()
            return None
        chosen = options[self._choose(len(options), can_go_on)]
        if can_go_on and chosen is not player:
            self._preemptions_left -= 1
        if chosen is not player or is_free:
            chosen.actor.give_turn()
        return chosen

    def _choose(self, options: int, can_go_on: bool) -> int:
        if options == 1:
            return 0
        position = len(self.trail)
        if position < len(self._prefix):
            taken = self._prefix[position]
        elif self._dice and (not can_go_on or self._dice.random() < PREEMPTION_RATE):
            taken = self._dice.randrange(options)
        else:
            taken = 0
        assert taken < options, "the story does not repeat itself"
        self.trail.append(_Choice(taken, options))
        return taken

    def _end(self) -> None:
        if self._steps > LONGEST_PLAY:
            self._abandon(StuckError(f"no end after {LONGEST_PLAY} steps"))
        elif all(player.has_ended for player in self._players):
            self._is_over.set()
        else:
            waiting = [p.name for p in self._players if not p.has_ended]
            self._abandon(StuckError(f"nobody can go on; waiting: {waiting}"))

    def _abandon(self, error: BaseException) -> None:
        self.error = error
        self._is_abandoned = True
        for player in self._players:
            player.actor.give_turn()
        self._is_over.set()


class _Lock:
    """A `threading.Lock` whose operations are steps."""

    def __init__(self, play: Play) -> None:
        self._play = play
        self._is_locked = False
        self._holder: int | None = None

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        if not blocking:
            self._play.step()
        else:
            self._play._step(lambda: not self._is_locked, may_time_out=timeout >= 0)
        if self._is_locked:
            return False
        self._is_locked = True
        self._holder = threading.get_ident()
        return True

    def release(self) -> None:
        if self._holder != threading.get_ident():
            self._play.step()
        if not self._is_locked:
            raise RuntimeError("release unlocked lock")
        self._is_locked = False
        self._holder = None

    def locked(self) -> bool:
        self._play.step()
        return self._is_locked

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_exc: object) -> None:
        self.release()


class _Deque(collections.deque[Any]):
    """A `collections.deque` whose operations are steps."""

    # One class for all plays: on a free-threaded build a class is never freed.
    play: "Play"

    def append(self, item: Any) -> None:
        self.play.step()
        super().append(item)

    def pop(self) -> Any:  # type: ignore[override]  # without an index
        self.play.step()
        return super().pop()

    def popleft(self) -> Any:
        self.play.step()
        return super().popleft()

    def clear(self) -> None:
        self.play.step()
        super().clear()

    def extend(self, items: Iterable[Any]) -> None:
        self.play.step()
        super().extend(items)

    def __len__(self) -> int:
        self.play.step()
        return super().__len__()


class _Watched:
    """Stands in for a slot of a class; to read or write it is a step."""

    def __init__(self, play: Play, slot: Any) -> None:
        self._play = play
        self._slot = slot

    def __get__(self, owner: Any, kind: type | None = None) -> Any:
        self._play.step()
        return self._slot.__get__(owner, kind)

    def __set__(self, owner: Any, value: Any) -> None:
        self._play.step()
        self._slot.__set__(owner, value)


@contextlib.contextmanager
def _watching(play: Play, slots: Iterable[tuple[type, str]]) -> Iterator[None]:
    originals = {(kind, name): vars(kind)[name] for kind, name in slots}
    try:
        for (kind, name), slot in originals.items():
            setattr(kind, name, _Watched(play, slot))
        yield
    finally:
        for (kind, name), slot in originals.items():
            setattr(kind, name, slot)


@contextlib.contextmanager
def _seam(play: Play) -> Iterator[None]:
    stand_ins = {
        "Lock": play.lock,
        "Deque": _Deque,
        "clock_ns": play.clock_ns,
        "yield_core": play.step,
        "start_thread": play.start_thread,
    }
    originals = {name: getattr(sync, name) for name in stand_ins}
    _Deque.play = play
    try:
        for name, stand_in in stand_ins.items():
            setattr(sync, name, stand_in)
        yield
    finally:
        for name, original in originals.items():
            setattr(sync, name, original)


def _always() -> bool:
    return True


def _may_only_time_out(player: _Player) -> bool:
    return player.may_time_out and not player.has_ended and not player.is_ready()


@contextlib.contextmanager
def _company() -> Iterator[list[_Actor]]:
    """Keep the actors of one play for the next, and dismiss them at the end."""
    actors: list[_Actor] = []
    try:
        yield actors
    finally:
        for actor in actors:
            actor.dismiss()


def _play(
    story: Story,
    choices: Sequence[int],
    preemptions: int | None,
    lines_of: Collection[str],
    actors: list[_Actor],
    dice: random.Random | None = None,
    watch: Collection[tuple[type, str]] = (),
) -> list[_Choice]:
    """Play the story once; return the choices there were."""
    play = Play(choices, preemptions, lines_of, actors, dice)
    with _seam(play), _watching(play, watch):
        check = story(play)
        play.run()
        error = play.error
        if error is None and check is not None:
            try:
                check()
            except AssertionError as failure:
                error = failure
    if error is not None:
        raise BadSchedule([choice.taken for choice in play.trail], error)
    return play.trail


def explore(
    story: Story,
    *,
    preemptions: int | None,
    lines_of: Collection[str] = (),
    watch: Collection[tuple[type, str]] = (),
    limit: int = 1_000_000,
) -> int:
    """Play the story under every schedule.

    Args:
      story: Called as ``story(play)`` for each schedule. It makes its objects, adds
        threads, and may return a check to be made when all have ended.
      preemptions: How many times a schedule takes the turn from a thread that
        could go on; None for no bound.
      lines_of: Source files whose every line is a step.
      watch: Slots, as classes and names, to read or write which is a step.
      limit: More schedules than this are an error.

    Returns:
      The number of schedules, also printed.

    Raises:
      BadSchedule: under some schedule a thread raised, the check failed, or
        nobody could go on.
    """
    prefix: list[int] = []
    with _company() as actors:
        for count in itertools.count(1):
            trail = _play(story, prefix, preemptions, lines_of, actors, watch=watch)
            while trail and trail[-1].taken + 1 == trail[-1].options:
                trail.pop()
            if not trail:
                break
            if count >= limit:
                raise RuntimeError(f"more than {limit} schedules: bound the story")
            prefix = [choice.taken for choice in trail]
            prefix[-1] += 1
    print(f"{count} schedules, preemptions: {preemptions}")  # noqa: T201
    return count


def sample(
    story: Story,
    *,
    plays: int,
    seed: int,
    watch: Collection[tuple[type, str]] = (),
) -> None:
    """Play the story under random schedules, without a bound on preemptions.

    For stories with too many schedules. `replay` with ``preemptions=None`` repeats
    one that went wrong.
    """
    dice = random.Random(seed)
    print(f"{plays} random schedules, seed: {seed}")  # noqa: T201
    with _company() as actors:
        for _ in range(plays):
            _play(story, [], None, (), actors, dice, watch=watch)


def replay(
    story: Story,
    choices: Sequence[int],
    *,
    preemptions: int | None,
    lines_of: Collection[str] = (),
    watch: Collection[tuple[type, str]] = (),
) -> None:
    """Play the story once, under the schedule of a `BadSchedule`."""
    with _company() as actors:
        _play(story, choices, preemptions, lines_of, actors, watch=watch)
