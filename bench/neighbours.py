"""The other processes of the machine, and what they do to a round.

A ratio of two contenders is fair only if both had the cores to themselves. So every
round notes how many cores other processes used meanwhile, and on request a round that
was disturbed is measured again. What decides is what the *others* did, never what was
measured, so the choice favours no contender.

Linux only; elsewhere nobody is ever seen.
"""

import os
import time
from collections.abc import Sequence
from pathlib import Path

import trio

__all__ = ("Neighbours", "is_disturbed")

LIMIT_CORES = 0.1  # arbitrary: a twentieth of two cores
PATIENCE = 300.0  # arbitrary: seconds per situation, then rounds are taken as they come
GLANCE = 0.3  # seconds; 30 of the kernel's clock ticks


def is_disturbed(cores_used: Sequence[float]) -> bool:
    """Return whether others used more than a little in most rounds."""
    disturbed_count = sum(cores > LIMIT_CORES for cores in cores_used)
    return 2 * disturbed_count > len(cores_used)


class Neighbours:
    """How many cores other processes use while we measure.

    Args:
      is_avoided: Whether disturbed rounds are to be measured again.

    Thread safety: externally synchronized.
    """

    def __init__(self, *, is_avoided: bool) -> None:
        self.is_avoided = is_avoided
        self.begin_situation()

    def begin_situation(self) -> None:
        """Forget the rounds of the situation before."""
        self.cores_used: list[float] = []
        self.repeated_count = 0
        self._lost_patience_at = time.monotonic() + PATIENCE

    async def begin_round(self) -> None:
        """Wait for a quiet moment if that was asked for, and start to count."""
        self._start_counting()
        while self._may_wait():
            await trio.sleep(GLANCE)
            is_quiet = self._cores_used() <= LIMIT_CORES
            self._start_counting()
            if is_quiet:
                return

    def end_round(self) -> bool:
        """Stop counting; return whether the round stands."""
        cores_used = self._cores_used()
        if cores_used > LIMIT_CORES and self._may_wait():
            self.repeated_count += 1
            return False
        self.cores_used.append(round(cores_used, 2))
        return True

    def summary(self) -> str:
        """Say in one line how much the rounds that stand were disturbed."""
        disturbed = sum(cores > LIMIT_CORES for cores in self.cores_used)
        text = f"{len(self.cores_used)} rounds"
        if self.repeated_count:
            text += f", {self.repeated_count} more measured again"
        if disturbed:
            text += f"; {disturbed} DISTURBED: other processes used up to"
            text += f" {max(self.cores_used):.2f} cores"
        return text

    def _may_wait(self) -> bool:
        return self.is_avoided and time.monotonic() < self._lost_patience_at

    def _start_counting(self) -> None:
        self._started = time.monotonic()
        self._others_before = _others_cpu_seconds()

    def _cores_used(self) -> float:
        elapsed = max(time.monotonic() - self._started, 1e-9)
        return max(0.0, (_others_cpu_seconds() - self._others_before) / elapsed)


def _others_cpu_seconds() -> float:
    """Return what all processes but ours and its children have used."""
    try:
        fields = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0]
        user, nice, system, _idle, _iowait, irq, softirq, steal = map(
            int, fields.split()[1:9]
        )
        ours = _family_ticks(os.getpid(), _processes())
    except OSError:
        return 0.0
    busy = user + nice + system + irq + softirq + steal
    return (busy - ours) / os.sysconf("SC_CLK_TCK")


def _processes() -> dict[int, tuple[int, int]]:
    """Return parent and used clock ticks of every process, by its id."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = path.read_text(encoding="ascii", errors="replace")
        except OSError:
            continue  # it has ended meanwhile
        after_name = text.rpartition(")")[2].split()
        # Fields 4, and 14 to 17 of proc(5): its own ticks and its ended children's.
        found[int(path.parent.name)] = (
            int(after_name[1]),
            sum(map(int, after_name[11:15])),
        )
    return found


def _family_ticks(root: int, processes: dict[int, tuple[int, int]]) -> int:
    children = [pid for pid, (parent, _) in processes.items() if parent == root]
    own = processes[root][1] if root in processes else 0
    return own + sum(_family_ticks(child, processes) for child in children)
