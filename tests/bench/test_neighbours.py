"""Other processes are counted, ours and our children's are not."""

import pytest
import trio

from bench import neighbours
from bench.neighbours import Neighbours, is_disturbed


def test_family_ticks_count_children_of_children_and_nobody_else() -> None:
    processes = {1: (0, 1000), 10: (1, 1), 11: (10, 20), 12: (11, 300), 13: (1, 4000)}
    assert neighbours._family_ticks(10, processes) == 321


@pytest.fixture
def others(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock of which a test says how much of it others used."""
    used = [0.0]
    monkeypatch.setattr(neighbours, "_others_cpu_seconds", lambda: used[0])
    return used


@pytest.mark.parametrize(
    ("used", "is_avoided", "stands"),
    [(0.0, True, True), (1000.0, True, False), (1000.0, False, True)],
)
@pytest.mark.thread_unsafe
def test_round_stands_if_quiet_or_if_nobody_cares(
    others: list[float], used: float, is_avoided: bool, stands: bool
) -> None:
    watch = Neighbours(is_avoided=is_avoided)
    trio.run(watch.begin_round)
    others[0] = used
    assert watch.end_round() is stands
    assert len(watch.cores_used) == stands
    assert watch.repeated_count == (not stands)


@pytest.mark.thread_unsafe
def test_round_stands_when_patience_is_over(
    others: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neighbours, "PATIENCE", 0.0)
    watch = Neighbours(is_avoided=True)
    trio.run(watch.begin_round)
    others[0] = 1000.0
    assert watch.end_round()
    assert "1 DISTURBED" in watch.summary()


def test_run_is_disturbed_when_most_rounds_were() -> None:
    assert is_disturbed([0.5, 0.0, 0.5])
    assert not is_disturbed([0.5, 0.0])
    assert not is_disturbed([])
