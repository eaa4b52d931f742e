"""Rounds are interleaved, answers are checked, warm-ups are thrown away."""

from collections.abc import Awaitable, Callable
from functools import partial

import pytest
import trio

from bench.harness import (
    Settings,
    WrongAnswerError,
    check_equal,
    interleave,
    timed,
)
from bench.neighbours import Neighbours


def _recording(log: list[str], name: str) -> Callable[[], Awaitable[int]]:
    async def measure() -> int:
        await trio.lowlevel.checkpoint()
        log.append(name)
        return len(log)

    return measure


class _NoisyNeighbours(Neighbours):
    """Says of some rounds that they were disturbed."""

    def __init__(self, disturbed_rounds: set[int]) -> None:
        super().__init__(is_avoided=True)
        self._disturbed_rounds = disturbed_rounds
        self._round_index = -1

    async def begin_round(self) -> None:
        self._round_index += 1

    def end_round(self) -> bool:
        return self._round_index not in self._disturbed_rounds


def _settings(seed: int = 1, neighbours: Neighbours | None = None) -> Settings:
    quiet = neighbours or Neighbours(is_avoided=False)
    return Settings(2, seed, None, is_quick=False, neighbours=quiet)


def test_interleave_measures_every_contender_once_in_each_round() -> None:
    log: list[str] = []
    contenders = {name: _recording(log, name) for name in "abc"}
    samples = trio.run(partial(interleave, contenders, _settings(), rounds=4))
    rounds = [log[start : start + 3] for start in range(0, len(log), 3)]
    assert [sorted(names) for names in rounds] == [["a", "b", "c"]] * 5
    assert len({tuple(names) for names in rounds}) > 1  # the order changes
    for name in "abc":
        assert samples[name] == [
            3 * index + names.index(name) + 1
            for index, names in enumerate(rounds)
            if index > 0  # the warm-up is not among the samples
        ]


def test_interleave_with_the_same_seed_has_the_same_order() -> None:
    logs: list[list[str]] = [[], []]
    for log in logs:
        contenders = {name: _recording(log, name) for name in "abcd"}
        trio.run(partial(interleave, contenders, _settings(seed=7), rounds=5))
    assert logs[0] == logs[1]


def test_interleave_without_warm_up_keeps_the_first_round() -> None:
    log: list[str] = []

    samples = trio.run(
        partial(
            interleave,
            {"a": _recording(log, "a")},
            _settings(),
            rounds=2,
            has_warm_up=False,
        )
    )
    assert samples == {"a": [1, 2]}


def test_interleave_measures_a_disturbed_round_again_for_all() -> None:
    log: list[str] = []
    contenders = {name: _recording(log, name) for name in "ab"}
    settings = _settings(neighbours=_NoisyNeighbours({1}))
    samples = trio.run(
        partial(interleave, contenders, settings, rounds=2, has_warm_up=False)
    )
    assert sorted(samples["a"] + samples["b"]) == [1, 2, 5, 6]


def test_timed_counts_the_run_and_not_the_check() -> None:
    async def run() -> str:
        await trio.sleep(0.02)
        return "answer"

    def slow_check(answer: str) -> None:
        assert answer == "answer"
        deadline = trio.current_time() + 0.2
        while trio.current_time() < deadline:
            pass

    assert 0.02 <= trio.run(timed, run, slow_check) < 0.2


def test_timed_with_a_wrong_answer_names_who_gave_it() -> None:
    async def run() -> list[int]:
        return [1, 3, 2]

    with pytest.raises(WrongAnswerError, match="somebody gave a wrong answer"):
        trio.run(timed, run, check_equal("somebody", [1, 2, 3]))


@pytest.mark.parametrize(
    ("rounds", "is_quick", "expected"),
    [(None, False, 11), (None, True, 3), (5, True, 5)],
)
def test_settings_rounds_come_from_the_user_first(
    rounds: int | None, is_quick: bool, expected: int
) -> None:
    settings = Settings(
        worker_count=2,
        seed=1,
        rounds=rounds,
        is_quick=is_quick,
        neighbours=Neighbours(is_avoided=False),
    )
    assert settings.rounds_or(11) == expected
