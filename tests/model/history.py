"""Which schedules lead to where an earlier one has been already.

The threads of a play touch *things*: locks, deques, watched slots. Two operations of
different threads are *independent* if they touch different things, or the same and
both only read it. Their order makes no difference, so schedules that differ in nothing
else lead to the same state. Two prunings follow:

* **No choice** is offered before an operation on a thing that is not *contended*: that
  one thread alone touches, or that nobody writes. A thread that is preempted there
  could as well be preempted before its next operation on a contended thing. Which
  things are contended is learnt from the plays; each time there is one more, the
  exploration begins again, so the last one knew them all from its beginning.
* **No play goes on** from a state in which an earlier one was, if that one had as many
  preemptions left. The state is known by its *history*: what each thread did, and
  after which operations of the others that depend on it. For a state it does not
  matter who ran last; for the preemptions it does, and one more is as good as that.

Both keep every state that the bound on preemptions allows to reach. What threads share
without a step has to be guarded by something with steps.

A history is kept as one hash per thread. Two that differ are taken for the same with a
probability of 1e-4 among ten million.

Source: Musuvathi & Qadeer 2007, "Partial-order reduction for context-bounded state
exploration".
"""

__all__ = ("Histories", "History")

SEVERAL = -1


class Histories:
    """What is known from the plays so far."""

    def __init__(self) -> None:
        self.contended: set[int] = set()
        self.has_learnt = False
        self._toucher: dict[int, int] = {}
        self._written: set[int] = set()
        # By state, and by state and who ran last: the most preemptions left.
        self._seen: dict[int, int] = {}
        self._seen_running: dict[int, int] = {}

    def __len__(self) -> int:
        """Return how many states there were."""
        return len(self._seen)

    def forget_states(self) -> None:
        """Begin again with what was learnt about things."""
        self.has_learnt = False
        self._seen.clear()
        self._seen_running.clear()

    def learn(self, player: int, thing: int, *, writes: bool) -> None:
        """Take note of an operation on a thing not known to be contended."""
        if writes:
            self._written.add(thing)
        if self._toucher.setdefault(thing, player) != player:
            self._toucher[thing] = SEVERAL
        if self._toucher[thing] == SEVERAL and thing in self._written:
            self.contended.add(thing)
            self.has_learnt = True

    def is_new(self, state: int, running: int | None, left: int) -> bool:
        """Return whether no play went on from here with as many preemptions left.

        Args:
          state: The history.
          running: The thread that goes on for free; None if any does.
          left: How many preemptions there may be from here on.
        """
        here = hash((state, running))
        if (
            self._seen_running.get(here, -1) >= left
            or self._seen.get(state, -1) >= left
        ):
            return False
        self._seen_running[here] = left
        reached = left if running is None else left - 1
        self._seen[state] = max(reached, self._seen.get(state, -1))
        return True


class History:
    """What happened in one play, but for the order of what is independent."""

    def __init__(self, histories: Histories) -> None:
        self._histories = histories
        self._players: list[int] = []
        # By thing: its last write. What a read saw tells which write came after it.
        self._writes: dict[int, int] = {}

    def add_player(self, creator: int | None) -> None:
        """Begin the history of one more thread."""
        origin = 0 if creator is None else self._players[creator]
        self._players.append(hash((len(self._players), origin)))

    def note(self, player: int, thing: int, *, writes: bool) -> None:
        """Add an operation of a thread."""
        if thing not in self._histories.contended:
            self._histories.learn(player, thing, writes=writes)
            return
        before = self._writes.get(thing, 0)
        now = hash((self._players[player], thing, before, writes))
        if writes:
            self._writes[thing] = now
        self._players[player] = now

    def state(self) -> int:
        """Return what stands for all that happened."""
        return hash(tuple(self._players))
