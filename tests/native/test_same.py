"""Both cores, driven by the same random programs, do the same."""

import contextvars

import outcome
from hypothesis import given, settings
from hypothesis import strategies as st

lanes = st.integers(0, 2)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("inject"), lanes),
        st.tuples(st.just("inject_failing"), lanes),
        st.tuples(st.just("push_two"), lanes),
        st.tuples(st.just("withdraw"), st.integers(0, 40)),
        st.tuples(st.just("run"), st.just(0)),
        st.tuples(st.just("outside_next"), st.just(0)),
    ),
    max_size=60,
)


class Program:
    """A registry without threads, and a log of all that happened in it."""

    def __init__(self, core):
        self.core = core
        self.registry = core.Registry(1)
        (self.worker,) = self.registry._workers
        self.jobs, self.log = [], []

    def make(self, fn, lane):
        number = len(self.jobs)
        sink = lambda job: self.log.append(("left", number, job.phase))  # noqa: E731
        job = self.core.Job(
            fn, (number,), contextvars.copy_context(), sink=sink, lane=lane
        )
        self.jobs.append(job)
        return job

    def call(self, number):
        self.log.append(("called", number))
        return number

    def inject(self, lane):
        self.registry.inject(self.make(self.call, lane))

    def inject_failing(self, lane):
        def fail(number):
            raise LookupError(number)

        self.registry.inject(self.make(fail, lane))

    def push_two(self, lane):
        def push(number):
            for _ in range(2):
                self.core.current_worker().push(self.make(self.call, lane))
            return self.call(number)

        self.registry.inject(self.make(push, lane))

    def withdraw(self, number):
        if self.jobs:
            job = self.jobs[number % len(self.jobs)]
            self.log.append(("withdrew", self.registry.withdraw(job)))

    def run(self, _):
        self.log.append(("ran", self.worker.run_one()))
        self.log.append(("runs now", self.worker.job, self.registry.running_jobs()))

    def outside_next(self, _):
        self.worker.look_outside_next()

    def result(self):
        """Run what is left; return everything that can be seen."""
        while self.worker.run_one():
            pass
        (counted,) = self.registry.statistics()
        counts = (
            counted.jobs_executed,
            counted.jobs_stolen,
            counted.queue_latency.count,
        )
        ends = [(job.phase, job.fn, shown(job.outcome)) for job in self.jobs]
        return self.log, counts, ends, len(self.registry.injector)


def shown(result):
    if isinstance(result, outcome.Error):
        return repr(result.error)
    return result


@settings(max_examples=150)
@given(program=steps)
def test_same_program_same_log_outcomes_and_counts(both, program):
    results = []
    for core in both:
        run = Program(core)
        for name, argument in program:
            getattr(run, name)(argument)
        results.append(run.result())
    assert results[0] == results[1]


def test_sink_that_raises_is_a_failure_that_stops_all(open_pool):
    failures = []

    def fail(job):
        raise LookupError("a bug of ours")

    with open_pool(2, on_failure=failures.append) as pool:
        job, _ = pool.make(int)
        failing = type(job)(int, (), contextvars.copy_context(), sink=fail)
        pool.registry.inject(failing)
        pool.registry.join()
        assert pool.registry.is_stopping
    assert [str(error) for error in failures] == ["a bug of ours"]
