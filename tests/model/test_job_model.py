"""A job has one outcome: worker against canceller, under every schedule."""

import contextvars

import pytest
from model.explorer import BadSchedule, Play, explore

from runtime._core import job
from runtime._core.job import DONE, QUEUED, WITHDRAWN, Job


def claim_story(play: Play):
    runs, left = [], []
    entry = Job(runs.append, ("ran",), contextvars.Context(), sink=left.append)
    answers = {}
    play.thread(lambda: answers.update(run=entry.run()))
    play.thread(lambda: answers.update(withdraw=entry.withdraw()))

    def check():
        assert sorted(answers.values()) == [False, True]
        assert len(runs) == answers["run"]
        assert entry.phase == (DONE if answers["run"] else WITHDRAWN)
        assert entry.fn is entry.args is entry.context is None

    return check


@pytest.mark.slow
def test_model_job_worker_or_canceller_wins_never_both_never_none():
    """A worker and a canceller reach the same job.

    1. both find it queued;
    2. one claims it; the other learns that it lost and does nothing.
    """
    explore(claim_story, preemptions=None, lines_of=[job.__file__])


def test_model_job_claim_that_looks_and_then_acts_is_found(monkeypatch):
    def withdraw(self):
        if self.phase != QUEUED:
            return False
        self.phase = WITHDRAWN
        self._claim.acquire(blocking=False)
        self._drop_call()
        return True

    monkeypatch.setattr(Job, "withdraw", withdraw)
    with pytest.raises(BadSchedule):
        explore(claim_story, preemptions=2, lines_of=[job.__file__, __file__])


def test_model_job_two_workers_and_a_canceller_run_it_at_most_once():
    """An entry that is met twice.

    1. two workers and a canceller reach the same job;
    2. exactly one of the three wins.
    """

    def story(play: Play):
        runs = []
        entry = Job(runs.append, ("ran",), contextvars.Context())
        wins = []
        for claim in (entry.run, entry.run, entry.withdraw):
            play.thread(lambda claim=claim: wins.append(claim()))

        def check():
            assert wins.count(True) == 1
            assert runs == ["ran"] * (entry.phase == DONE)

        return check

    explore(story, preemptions=None)


def test_model_job_reader_of_done_finds_the_outcome():
    """A reader looks while the worker stores.

    1. the worker stores the outcome, then the phase;
    2. a reader between the two sees a running job, never a done one without outcome.
    """

    def story(play: Play):
        entry = Job(int, (), contextvars.Context())

        def read():
            if entry.phase == DONE:
                assert entry.outcome is not None

        play.thread(entry.run)
        play.thread(read)

    explore(story, preemptions=2, lines_of=[job.__file__, __file__])
