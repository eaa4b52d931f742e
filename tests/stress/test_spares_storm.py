"""Jobs that wait for each other on few workers, with a printed seed.

The seed fixes what is asked for, not how the threads interleave.
"""

import contextvars
import random

import pytest
from helpers import TIMEOUT

from runtime._core import Job, Latch, Registry, current_worker
from runtime._core.selected import join  # the package has a module of that name

pytestmark = [pytest.mark.stress, pytest.mark.slow]

STORMS = 100
MAX_DEPTH = 5


class Storm:
    """One registry and a forest of jobs, each of which waits for its children."""

    def __init__(self, seed):
        self.dice = random.Random(seed)
        self.registry = Registry(
            self.dice.randint(1, 3),
            seed=seed,
            spin_rounds=self.dice.choice([1, 1, 4]),
            spare_limit=500,
        )
        self.runs = []
        self.count = 0

    def make(self, depth):
        """Return a job of some kind and the latch that is set at its end."""
        self.count += 1
        left = Latch()
        children = [
            self.make(depth + 1)
            for _ in range(self.dice.choice([0, 1, 1, 2]) if depth < MAX_DEPTH else 0)
        ]
        kind = self.dice.choice([self.inject, self.push, self.fork])
        context = contextvars.Context()
        return Job(kind, (children,), context, sink=left.set), left

    def inject(self, children):
        self.runs.append("inject")
        for job, _ in children:
            self.registry.inject(job)
        self.wait(children)

    def push(self, children):
        self.runs.append("push")
        for job, _ in children:
            current_worker().push(job)
        self.wait(children)

    def fork(self, children):
        """Wait in one half of a join, and give the other something to wait for."""
        self.runs.append("fork")
        for job, _ in children[:1]:
            self.registry.inject(job)

        def inject_others():
            for job, _ in children[1:]:
                self.registry.inject(job)
            self.wait(children[1:])

        join(lambda: self.wait(children[:1]), inject_others)

    def wait(self, children):
        me = current_worker()
        for _, left in children:
            me.begin_wait()
            try:
                assert left.wait(TIMEOUT), "a child was never run"
            finally:
                me.end_wait()

    def run(self):
        self.registry.start()
        roots = [self.make(0) for _ in range(self.dice.randint(1, 6))]
        for job, _ in roots:
            self.registry.inject(job)
        try:
            for job, left in roots:
                assert left.wait(TIMEOUT), "a job was never run"
                job.outcome.unwrap()
        finally:
            self.registry.stop()
            self.registry.join()

    def check(self):
        assert len(self.runs) == self.count
        assert self.registry.num_waiting() == 0
        assert self.registry.running_jobs() == {}
        assert all(len(worker.deque) == 0 for worker in self.registry._workers)


def test_stress_spares_every_job_that_waits_is_run():
    """Leave, come back, step down, over and over.

    1. jobs give their children to the injector, to their own deque or to a join, and
       wait for them outside, as deep as six levels, on one to three workers;
    2. spares take over; who comes back makes one too many, and one steps down;
    3. every job has run once, nobody is away, and all threads end.
    """
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed: {seed}")  # noqa: T201
    for number in range(STORMS):
        storm = Storm(seed + number)
        storm.run()
        storm.check()
