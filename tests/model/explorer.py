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

With ``prunes`` a schedule is left out where it leads to a state in which an earlier
one was; `model.history` says how that is known.
"""

import collections
import contextlib
import itertools
import os
import random
import select
import sys
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import partial
from types import FrameType
from typing import Any, Self

from model.history import Histories, History

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


class RedundantError(BaseException):
    """The play has come to where an earlier one was."""


class _Turns:
    """How one thread is told to go on; one at a time is."""

    def __init__(self) -> None:
        # Quicker to hand over than a lock, which spins before it waits.
        self._fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_SEMAPHORE)

    def give_turn(self) -> None:
        os.eventfd_write(self._fd, 1)

    def wait_for_turn(self) -> None:
        os.eventfd_read(self._fd)

    def wait_patiently_for_turn(self) -> None:
        ready, _, _ = select.select([self._fd], [], [], PATIENCE)
        if not ready:
            raise TimeoutError("a thread of the play waits outside of the seam")
        self.wait_for_turn()

    def close(self) -> None:
        os.close(self._fd)


class _Actor(_Turns):
    """An OS thread that plays one part in each play, when it is given the turn."""

    def __init__(self) -> None:
        super().__init__()
        self.perform: Callable[[], None] | None = None
        self._thread = threading.Thread(target=self._main, daemon=True)
        self._thread.start()

    def dismiss(self) -> None:
        """End the thread."""
        self.perform = None
        self.give_turn()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), "an actor waits outside of the seam"
        self.close()

    def _main(self) -> None:
        self.wait_for_turn()
        while (perform := self.perform) is not None:
            perform()
            self.wait_for_turn()


class _Company:
    """The actors of one play after the other, and who directs them.

    Args:
      watch: Slots, as classes and names, to read or write which is a step.
    """

    # What they play now.
    play: "Play"

    def __init__(self, watch: Collection[tuple[type, str]] = ()) -> None:
        # For all plays at once: to change a class costs more than a play.
        self._stage = contextlib.ExitStack()
        self._stage.enter_context(_seam(self))
        self._stage.enter_context(_watching(self, watch))
        self.actors: list[_Actor] = []
        self.director = _Turns()

    def actor(self, number: int) -> _Actor:
        if number == len(self.actors):
            self.actors.append(_Actor())
        return self.actors[number]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        for actor in self.actors:
            actor.dismiss()
        self.director.close()
        self._stage.close()


class _Player:
    """One thread of a play."""

    def __init__(self, number: int, name: str, actor: _Actor) -> None:
        self.number = number
        self.name = name
        self.actor = actor
        self.end = -1 - number  # a thing: written when it ends
        self.is_ready: Callable[[], bool] = _always
        self.may_time_out = False
        self.has_ended = False
        self.things_made = 0


class _PlayerHandle:
    """What `sync.start_thread` returns inside a play."""

    def __init__(self, play: "Play", player: _Player) -> None:
        self._play = play
        self._player = player

    def join(self) -> None:
        self._play.step(self._player.end, is_ready=lambda: self._player.has_ended)
        self._play.note(self._player.end, writes=False)


class Play:
    """One performance of a story under one schedule."""

    def __init__(
        self,
        prefix: Sequence[int],
        preemptions: int | None,
        lines_of: Collection[str],
        company: _Company,
        dice: random.Random | None = None,
        histories: Histories | None = None,
    ) -> None:
        # At each step: which option was taken, and out of how many.
        self.choices: list[int] = []
        self.options: list[int] = []
        self.error: BaseException | None = None
        self._prefix = prefix
        self._preemptions_left = sys.maxsize if preemptions is None else preemptions
        self._lines_of = lines_of
        self._company = company
        self._dice = dice
        self._histories = histories
        self._history = None if histories is None else History(histories)
        self._last_state: int | None = None
        self._players: list[_Player] = []
        self._running: _Player | None = None
        self._is_abandoned = False
        # Whether a story's condition is asked: then nothing is a step.
        self._is_asking = False
        # Whether what it reads is noted all the same.
        self._notes = False
        self._things_made = 0
        self._owners: dict[int, tuple[object, int]] = {}
        self._now_ns = 0

    # For stories

    def thread(self, target: Callable[[], object], name: str = "") -> _PlayerHandle:
        """Add a thread that runs ``target()``."""
        number = len(self._players)
        actor = self._company.actor(number)
        player = _Player(number, name or f"thread {number}", actor)
        player.actor.perform = partial(self._perform, player, target)
        if self._history is not None:
            self._history.add_player(self._running and self._running.number)
        self._players.append(player)
        return _PlayerHandle(self, player)

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Let others run until the condition holds."""
        self.step(is_ready=lambda: self._ask(condition))
        if self._running is not None and not self._is_asking:
            self._ask(condition, notes=True)

    # The seam

    def step(
        self,
        thing: int | None = None,
        *,
        is_ready: Callable[[], bool] | None = None,
        may_time_out: bool = False,
    ) -> None:
        """Let another thread go first, or not.

        Args:
          thing: What the operation after the step touches; `note` has to follow.
          is_ready: What has to hold before the thread can go on.
          may_time_out: Whether it can go on even so.
        """
        player = self._running
        if player is None:  # the story's beginning or its check
            assert may_time_out or is_ready is None or is_ready()
            return
        if self._is_asking:
            return
        if self._is_abandoned:
            raise AbandonedError
        if is_ready is None and not self._is_choice(thing):
            self._record(0, 1)
            return
        player.is_ready, player.may_time_out = is_ready or _always, may_time_out
        # Whoever was given the turn runs by now: look at nothing that it may change.
        chosen = self._hand_over(player)
        if chosen is not None and chosen is not player:
            player.actor.wait_for_turn()
        if self._is_abandoned:
            raise AbandonedError
        player.is_ready, player.may_time_out = _always, False

    def note(self, thing: int, *, writes: bool) -> None:
        """Take note of an operation of the thread that runs."""
        if self._history is None or self._running is None:
            return
        if not self._is_asking or self._notes:
            self._history.note(self._running.number, thing, writes=writes)

    def touch(self, thing: int, *, writes: bool) -> None:
        """Make a step before an operation that is sure to read or to write."""
        self.step(thing)
        self.note(thing, writes=writes)

    def new_thing(self) -> int:
        """Return a name, the same in each play in which the same was done before."""
        if self._running is None:
            self._things_made += 1
            return self._things_made
        self._running.things_made += 1
        return hash((self._running.number, self._running.things_made))

    def thing_of(self, owner: object) -> int:
        """Return the name of an object that has none of its own."""
        known = self._owners.get(id(owner))
        if known is None:
            known = self._owners[id(owner)] = owner, self.new_thing()
        return known[1]

    def clock_ns(self) -> int:
        """Stand in for `sync.clock_ns`: later at each call."""
        self._now_ns += 1
        return self._now_ns

    # The schedule

    def run(self) -> None:
        """Play from the first step to the last."""
        if not self._players:
            return
        director = self._company.director
        self._hand_over(None)
        director.wait_patiently_for_turn()
        for player in self._players:  # if it was abandoned: unwind the rest
            if not player.has_ended:
                self._running = player
                player.actor.give_turn()
                director.wait_patiently_for_turn()
        self._running = None

    def _perform(self, player: _Player, target: Callable[[], object]) -> None:
        if not self._is_abandoned:
            self._play_part(target)
        player.has_ended = True
        self.note(player.end, writes=True)
        if self._is_abandoned or self._hand_over(None) is None:
            self._company.director.give_turn()

    def _play_part(self, target: Callable[[], object]) -> None:
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

    def _trace(self, frame: FrameType, event: str, _arg: object) -> Any:
        if self._is_asking or frame.f_code.co_filename not in self._lines_of:
            return None
        if event == "line":
            self.step()
        return self._trace

    def _ask(self, condition: Callable[[], bool], *, notes: bool = False) -> bool:
        self._is_asking, self._notes = True, notes
        try:
            return condition()
        finally:
            self._is_asking = False

    def _is_choice(self, thing: int | None) -> bool:
        return self._histories is None or thing in self._histories.contended

    def _hand_over(self, player: _Player | None) -> _Player | None:
        """Choose who goes on, and let it; None if nobody can.

        Args:
          player: The thread that runs; None if it has ended.
        """
        can_go_on = player is not None and player.is_ready()
        state = None if self._history is None else self._history.state()
        if state is not None and state == self._last_state:
            # Since the last choice nothing was done: whoever was chosen goes on.
            options = self._options(player, can_go_on=can_go_on)[
                : 1 if can_go_on else None
            ]
        elif self._is_worth_while(state, player if can_go_on else None):
            options = self._options(player, can_go_on=can_go_on)
        else:
            self._abandon(RedundantError())
            return None
        self._last_state = state
        if not options or len(self.choices) > LONGEST_PLAY:
            self._end()
            return None
        chosen = options[self._choose(len(options), can_go_on)]
        if can_go_on and chosen is not player:
            self._preemptions_left -= 1
        self._running = chosen
        if chosen is not player:
            chosen.actor.give_turn()
        return chosen

    def _options(self, player: _Player | None, *, can_go_on: bool) -> list[_Player]:
        options = [player] if player is not None and can_go_on else []
        if can_go_on and not self._preemptions_left:
            return options
        waiting = [p for p in self._players if p is not player and not p.has_ended]
        options += [p for p in waiting if p.is_ready()]
        options += [p for p in self._players if _may_only_time_out(p)]
        return options

    def _is_worth_while(self, state: int | None, goes_on: _Player | None) -> bool:
        if state is None or len(self.choices) < len(self._prefix):
            return True
        assert self._histories is not None
        return self._histories.is_new(
            state,
            None if goes_on is None else goes_on.number,
            self._preemptions_left,
        )

    def _choose(self, options: int, can_go_on: bool) -> int:
        position = len(self.choices)
        if position < len(self._prefix):
            taken = self._prefix[position]
        elif self._dice and (not can_go_on or self._dice.random() < PREEMPTION_RATE):
            taken = self._dice.randrange(options)
        else:
            taken = 0
        assert taken < options, "the story does not repeat itself"
        self._record(taken, options)
        return taken

    def _record(self, taken: int, options: int) -> None:
        self.choices.append(taken)
        self.options.append(options)

    def _end(self) -> None:
        if len(self.choices) > LONGEST_PLAY:
            self._abandon(StuckError(f"no end after {LONGEST_PLAY} steps"))
        elif all(player.has_ended for player in self._players):
            self._running = None
        else:
            waiting = [p.name for p in self._players if not p.has_ended]
            self._abandon(StuckError(f"nobody can go on; waiting: {waiting}"))

    def _abandon(self, error: BaseException) -> None:
        if not self._is_abandoned:  # else it went wrong while it was unwound
            self.error = error
            self._is_abandoned = True


class _Lock:
    """A `threading.Lock` whose operations are steps."""

    def __init__(self, play: Play) -> None:
        self._play = play
        self._thing = play.new_thing()
        self._is_locked = False
        self._holder: _Player | None = None

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        if not blocking:
            self._play.step(self._thing)
        else:
            self._play.step(
                self._thing,
                is_ready=lambda: not self._is_locked,
                may_time_out=timeout >= 0,
            )
        self._play.note(self._thing, writes=not self._is_locked)
        if self._is_locked:
            return False
        self._is_locked = True
        self._holder = self._play._running
        return True

    def release(self) -> None:
        if self._holder is not self._play._running:
            self._play.step(self._thing)
        self._play.note(self._thing, writes=self._is_locked)
        if not self._is_locked:
            raise RuntimeError("release unlocked lock")
        self._is_locked = False
        self._holder = None

    def locked(self) -> bool:
        self._play.touch(self._thing, writes=False)
        return self._is_locked

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_exc: object) -> None:
        self.release()


class _Deque(collections.deque[Any]):
    """A `collections.deque` whose operations are steps."""

    def __init__(self, play: Play, items: Iterable[Any] = ()) -> None:
        super().__init__(items)
        self.play = play
        self._thing = play.new_thing()

    def append(self, item: Any) -> None:
        self.play.touch(self._thing, writes=True)
        super().append(item)

    def pop(self) -> Any:  # type: ignore[override]  # without an index
        self.play.step(self._thing)
        self.play.note(self._thing, writes=super().__len__() > 0)
        return super().pop()

    def popleft(self) -> Any:
        self.play.step(self._thing)
        self.play.note(self._thing, writes=super().__len__() > 0)
        return super().popleft()

    def clear(self) -> None:
        self.play.touch(self._thing, writes=True)
        super().clear()

    def extend(self, items: Iterable[Any]) -> None:
        self.play.touch(self._thing, writes=True)
        super().extend(items)

    def remove(self, item: Any) -> None:
        self.play.touch(self._thing, writes=True)
        super().remove(item)

    def rotate(self, n: int = 1) -> None:
        self.play.touch(self._thing, writes=True)
        super().rotate(n)

    def __getitem__(self, index: Any) -> Any:
        self.play.touch(self._thing, writes=False)
        return super().__getitem__(index)

    def __len__(self) -> int:
        self.play.touch(self._thing, writes=False)
        return super().__len__()


class _Cell:
    """A `sync.Cell` whose every change is a step.

    One, not two: a change that finds another to have been faster begins anew, which
    is as if it had come later. Only what is made for the next value may have steps.
    """

    def __init__(self, play: Play, value: Any) -> None:
        self._play = play
        self._thing = play.new_thing()
        self._value = value

    def read(self) -> Any:
        self._play.touch(self._thing, writes=False)
        return self._value

    def change(self, step: Callable[[Any], tuple[Any, Any]]) -> Any:
        while True:
            self._play.touch(self._thing, writes=True)
            before = self._value
            value, result = step(before)
            if self._value is before:
                self._value = value
                return result


class _CellMaker:
    """Stands in for the class `sync.Cell`, which is called and subscripted."""

    def __init__(self, company: _Company) -> None:
        self._company = company

    def __call__(self, value: Any) -> _Cell:
        return _Cell(self._company.play, value)

    def __getitem__(self, _item: object) -> "_CellMaker":
        return self


class _Watched:
    """Stands in for a slot of a class; to read or write it is a step."""

    def __init__(self, company: _Company, slot: Any) -> None:
        self._company = company
        self._slot = slot

    def __get__(self, owner: Any, kind: type | None = None) -> Any:
        self._touch(owner, writes=False)
        return self._slot.__get__(owner, kind)

    def __set__(self, owner: Any, value: Any) -> None:
        self._touch(owner, writes=True)
        self._slot.__set__(owner, value)

    def _touch(self, owner: object, *, writes: bool) -> None:
        play = self._company.play
        play.touch(hash((play.thing_of(owner), self._slot)), writes=writes)


@contextlib.contextmanager
def _watching(company: _Company, slots: Iterable[tuple[type, str]]) -> Iterator[None]:
    originals = {(kind, name): vars(kind)[name] for kind, name in slots}
    try:
        for (kind, name), slot in originals.items():
            setattr(kind, name, _Watched(company, slot))
        yield
    finally:
        for (kind, name), slot in originals.items():
            setattr(kind, name, slot)


class _DequeMaker:
    """Stands in for the class `sync.Deque`, which is called and subscripted."""

    def __init__(self, company: _Company) -> None:
        self._company = company

    def __call__(self, items: Iterable[Any] = ()) -> _Deque:
        return _Deque(self._company.play, items)

    def __getitem__(self, _item: object) -> "_DequeMaker":
        return self


@contextlib.contextmanager
def _seam(company: _Company) -> Iterator[None]:
    stand_ins = {
        "Lock": lambda: _Lock(company.play),
        "Cell": _CellMaker(company),
        "Deque": _DequeMaker(company),
        "clock_ns": lambda: company.play.clock_ns(),
        "yield_core": lambda: company.play.step(),
        "start_thread": lambda target, name: company.play.thread(target, name),
    }
    originals = {name: getattr(sync, name) for name in stand_ins}
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


def _play(
    story: Story,
    choices: Sequence[int],
    preemptions: int | None,
    lines_of: Collection[str],
    company: _Company,
    *,
    dice: random.Random | None = None,
    histories: Histories | None = None,
) -> Play:
    """Play the story once."""
    play = Play(choices, preemptions, lines_of, company, dice, histories)
    company.play = play
    check = story(play)
    play.run()
    error = play.error
    if error is None and check is not None:
        try:
            check()
        except AssertionError as failure:
            error = failure
    if error is not None and not isinstance(error, RedundantError):
        raise BadSchedule(play.choices, error)
    return play


def explore(
    story: Story,
    *,
    preemptions: int | None,
    lines_of: Collection[str] = (),
    watch: Collection[tuple[type, str]] = (),
    prunes: bool = False,
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
      prunes: Whether to leave out schedules that lead to where an earlier one was.
        What threads share has to be watched, or guarded by something with steps.
      limit: More schedules than this are an error.

    Returns:
      The number of schedules, also printed.

    Raises:
      BadSchedule: under some schedule a thread raised, the check failed, or
        nobody could go on.
    """
    histories = Histories() if prunes else None
    prefix: list[int] = []
    pruned = 0
    with _Company(watch) as company:
        for count in itertools.count(1):
            play = _play(
                story,
                prefix,
                preemptions,
                lines_of,
                company,
                histories=histories,
            )
            pruned += play.error is not None
            if histories is not None and histories.has_learnt:
                histories.forget_states()
                prefix = []
                continue
            prefix = _next_schedule(play)
            if not prefix:
                break
            if count >= limit:
                raise RuntimeError(f"more than {limit} schedules: bound the story")
    print(f"{count} schedules, preemptions: {preemptions}")  # noqa: T201
    if histories is not None:
        print(f"{pruned} of them cut short, {len(histories)} states")  # noqa: T201
    return count


def _next_schedule(play: Play) -> list[int]:
    """Return the next schedule's beginning, depth first; none after the last."""
    choices, options = play.choices, play.options
    while choices and choices[-1] + 1 == options[-1]:
        choices.pop()
        options.pop()
    if choices:
        choices[-1] += 1
    return choices


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
    with _Company(watch) as company:
        for _ in range(plays):
            _play(story, [], None, (), company, dice=dice)


def replay(
    story: Story,
    choices: Sequence[int],
    *,
    preemptions: int | None,
    lines_of: Collection[str] = (),
    watch: Collection[tuple[type, str]] = (),
) -> None:
    """Play the story once, under the schedule of a `BadSchedule`."""
    with _Company(watch) as company:
        _play(story, choices, preemptions, lines_of, company)
