"""The ladder of cancellation against a model of it, with programs by hypothesis.

A program is a list of commands: bring work, cancel who waits for it or the work, let a
job end, shut down. It is played twice: in an inline pool, where a job's body plays the
commands that come while it runs; and on real workers, where a job stays in its worker
until it is told to end. Trio's clock jumps, so a deadline takes no time.
"""

import contextvars
import dataclasses
import itertools
import subprocess
import sys
import time
from contextlib import asynccontextmanager
from functools import partial

import hypothesis
import jobs
import pytest
import trio
import trio.testing
from gates import Gate, Record
from helpers import TIMEOUT, cancelled_after, wait_until
from hypothesis import HealthCheck
from hypothesis import strategies as st
from jobs import Failure

import runtime
from runtime._frontend.shutdown import TOKEN_GRACE

pytestmark = pytest.mark.slow

QUEUED, RUNNING, DONE, WITHDRAWN = runtime.JobState
# What ends a job that was asked to end; and, as an ending, a job that ends itself.
STOPPED = (runtime.JobCancelled, runtime.JobInterrupted)


class Expected:
    """The model: what one job must come to, and whoever waits for it."""

    def __init__(self, *, is_call, on_cancel):
        self.is_call, self.on_cancel = is_call, on_cancel
        self.state = QUEUED
        self.answers = set()  # that the waiter may get; empty: it has to wait
        self.is_asked = self.is_interrupted = self.is_left = False
        self.is_own = False  # was the waiter's own scope cancelled?
        self.ending = None

    def begin(self):
        assert self.state is QUEUED, f"a job that is {self.state.name} begins"
        self.state = RUNNING

    def cancel_waiter(self):
        has_begun = self.state in (RUNNING, DONE)
        if not self.is_call or (has_begun and self.on_cancel == "abandon"):
            self.answers.add(trio.Cancelled)  # or what was already on its way
        if self.is_call:
            self.is_own = True
            if self.answers and self.ending is STOPPED:
                self.answers.add(trio.Cancelled)
            self.ask(trio.Cancelled)
            self.interrupt()

    def ask(self, answer=runtime.TaskCancelled):
        if self.state is QUEUED:
            self.state = WITHDRAWN
            self.answers = self.answers or {answer}
        self.is_asked |= self.state is RUNNING

    def interrupt(self):
        self.is_interrupted |= self.state is RUNNING and self.on_cancel == "interrupt"

    def end(self, ending):
        assert self.state is RUNNING
        self.state, self.ending = DONE, ending
        if ending is STOPPED:
            ending = trio.Cancelled if self.is_own else runtime.TaskCancelled
        self.answers = self.answers or {ending}

    def leave_behind(self):
        self.is_left = True
        self.answers = self.answers or {runtime.TaskCancelled}

    @property
    def is_abandoned(self):
        has_gone = self.is_call and trio.Cancelled in self.answers
        return self.state is RUNNING and has_gone


class Play:
    """A program on its way: for each job what is expected, and what was seen."""

    def __init__(self, program):
        self.program = iter(program)
        self.jobs = []
        self.is_closed = False

    async def run(self):
        """Play the program in a pool of its own, and check the end."""
        errors = ()
        async with trio.open_nursery() as self.nursery:
            self.context = contextvars.copy_context()
            try:
                async with self.open_pool() as self.pool:
                    try:
                        for command in self.program:
                            await self.apply_outside(*command)
                            await self.settle()
                        await self.finish()
                    finally:
                        self.let_go()
            except* Failure as group:
                errors = group.exceptions
        self.check_answers(is_over=True)
        assert sorted(error.args for error in errors) == sorted(
            (job.index,) for job in self.jobs if job.leaves_its_error
        )
        now = self.statistics()
        assert (now.in_flight, now.queued) == (0, 0)
        if not self.is_closed:  # else it is the report that counts
            assert now.jobs_withdrawn == sum(
                job.expected.state is WITHDRAWN and job.is_accepted for job in self.jobs
            )

    def let_go(self):
        """Keep no job from its end, whatever the test has come to."""

    def statistics(self):
        return self.pool.statistics()

    def check_answers(self, *, is_over=False):
        """Check what the waiters got so far; at the end, that all got something."""
        for job in self.jobs:
            assert job.runs <= 1
            if is_over:
                assert job.seen is not None, f"job {job.index} has no answer"
                assert job.expected.state in (DONE, WITHDRAWN)
                assert job.runs == (job.expected.state is DONE)
            if job.seen is not None:
                allowed = job.expected.answers
                assert job.seen in allowed, (
                    f"job {job.index}: {job.seen}, not {allowed}"
                )

    def counts(self):
        """Return what the statistics should say of jobs that were not left behind."""
        ended = [
            job.expected.ending
            for job in self.jobs
            if job.expected.state is DONE and not job.expected.is_left
        ]
        completed = ended.count("value")
        return completed, len(ended) - completed

    # The commands

    def apply(self, verb, *arguments):
        """Do what can be done inside a job, too."""
        if verb in ("call", "submit"):
            if not self.is_closed:
                self.jobs.append(self.Work(self, len(self.jobs), verb, *arguments))
        elif self.jobs:
            job = self.jobs[arguments[0] % len(self.jobs)]
            if verb == "cancel waiter":
                job.cancel_waiter()
            elif verb == "cancel job" and job.handle is not None:
                job.expected.ask()
                job.expected.interrupt()
                job.handle.cancel()


class Work:
    """One job of a play, and the task that waits for it."""

    def __init__(self, play, index, verb, on_cancel, ending):
        self.play, self.index, self.ending = play, index, ending
        self.seen = None  # what the waiter got
        self.scope = trio.CancelScope()
        self.handle = None
        is_call = verb == "call"
        if not is_call and on_cancel == "abandon":
            on_cancel = "wait"
        self.expected = Expected(is_call=is_call, on_cancel=on_cancel)
        if is_call:
            self.is_accepted = False
            bring = partial(play.pool.spawn_cpu_work, self.body, on_cancel=on_cancel)
        else:
            self.is_accepted = True
            self.handle = play.pool.submit_nowait(self.body, on_cancel=on_cancel)
            bring = self.handle.wait
        # Not in the context of the job that may be around this.
        play.context.copy().run(play.nursery.start_soon, self.wait, bring)

    async def wait(self, bring):
        """Wait for the job, and note what comes of it."""
        with self.scope:
            try:
                await trio.lowlevel.checkpoint_if_cancelled()
                self.is_accepted = True
                value = await bring()
                self.seen = "value" if value == self.index else value
            except Failure as error:
                self.seen = Failure if error.args == (self.index,) else error
            except runtime.TaskCancelled:
                self.seen = runtime.TaskCancelled
            except trio.Cancelled:
                self.seen = trio.Cancelled
                raise

    def cancel_waiter(self):
        if self.seen is None:
            self.expected.cancel_waiter()
            self.scope.cancel()

    @property
    def leaves_its_error(self):
        """Tell whether the job failed, and its waiter was not there any more."""
        expected = self.expected
        has_failed = expected.ending is Failure and not expected.is_left
        return has_failed and not expected.is_call and self.seen is trio.Cancelled

    def end(self):
        """Return or raise what the job ends with; in the job."""
        if self.ending is Failure:
            raise Failure(self.index)
        if self.ending is STOPPED:
            raise runtime.JobCancelled
        return self.index


# In the Trio thread: bodies play


class InlineWork(Work):
    runs = 0

    def body(self):
        """Begin, play what comes meanwhile, and end."""
        expected, play = self.expected, self.play
        self.runs += 1
        expected.begin()
        try:
            with runtime.uninterruptible():
                play.play_inside()
            while expected.is_interrupted:
                pass
            if self.ending == "look":
                runtime.check_cancelled()
            value = self.end()
        except Failure:
            self.note_end(Failure)
            raise
        except runtime.JobInterrupted:
            self.note_end(STOPPED if expected.is_interrupted else "interrupted")
            raise
        except runtime.JobCancelled:
            was_asked = expected.is_asked or self.ending is STOPPED
            self.note_end(STOPPED if was_asked else "cancelled")
            raise
        assert not (self.ending == "look" and expected.is_asked)
        self.note_end("value")
        return value

    def note_end(self, ending):
        """The model's end; deadlines that passed meanwhile are seen right after."""
        with runtime.uninterruptible():
            self.expected.end(ending)
            late, self.play.late = self.play.late, []
            for job in late:
                if job.seen is None:
                    job.expected.cancel_waiter()


class InlinePlay(Play):
    """Only one thing happens at a time, and the jobs decide when."""

    Work = InlineWork
    open_pool = staticmethod(runtime.testing.inline_pool)

    def __init__(self, program):
        super().__init__(program)
        self.late = []  # jobs whose waiter's deadline passes while a body plays

    def play_inside(self):
        for verb, *arguments in self.program:
            if verb == "end":
                return
            if verb == "deadline" and self.jobs:
                job = self.jobs[arguments[0] % len(self.jobs)]
                job.scope.deadline = trio.current_time()
                self.late.append(job)
            elif verb != "shutdown":
                self.apply(verb, *arguments)

    async def apply_outside(self, verb, *arguments):
        if verb == "end":
            await trio.testing.wait_all_tasks_blocked()  # bodies play what follows
        elif verb == "shutdown" and not self.is_closed:
            await trio.testing.wait_all_tasks_blocked()
            await self.shut_down(*arguments)
        else:
            self.apply(verb, *arguments)

    async def shut_down(self, grace):
        self.is_closed = True
        for index in range(3):  # some work for it
            self.jobs.append(InlineWork(self, len(self.jobs), "submit", "wait", index))
        report = await self.pool.shutdown(grace)
        for job in self.jobs:
            job.expected.ask()
        withdrawn = [job.expected.state for job in self.jobs[-3:]].count(WITHDRAWN)
        assert report.withdrawn == withdrawn
        assert report.completed + report.cancelled == 3 - withdrawn
        assert report.still_running == ()

    async def settle(self):
        self.check_answers()
        now = self.statistics()
        assert now.abandoned <= len(self.jobs)

    async def finish(self):
        await trio.testing.wait_all_tasks_blocked()
        now = self.statistics()
        assert (now.jobs_completed, now.jobs_failed) == self.counts()
        assert now.abandoned == now.in_flight == 0


# On workers: bodies wait to be told


class HeldWork(Work):
    def __init__(self, play, index, verb, on_cancel, ending):
        self.gate = Gate()
        self.has_begun = False  # as the play has noted
        how = {Failure: "fail", STOPPED: "stop"}.get(ending, ending)
        self.body = partial(jobs.play_held, play.begun, self.gate, how, index)
        super().__init__(play, index, verb, on_cancel, ending)

    @property
    def runs(self):
        """How often the job has begun."""
        return list(self.play.begun).count(self.index)

    def let_end(self):
        """Have the job end as it was told to."""
        ending = "value" if self.ending == "look" else self.ending
        self.expected.end(ending)
        self.gate.open()

    def note(self):
        """Take over what happened by itself since the last command."""
        expected = self.expected
        if self.runs and not self.has_begun:
            self.has_begun = True
            expected.begin()
        if expected.state is RUNNING and (
            (self.ending == "look" and expected.is_asked) or expected.is_interrupted
        ):
            expected.end(STOPPED)


class HeldPlay(Play):
    """Between two commands everything that can happen has happened."""

    Work = HeldWork

    def __init__(self, program, worker_count, backend):
        super().__init__(program)
        self.worker_count, self.backend = worker_count, backend
        self.begun = Record()

    @asynccontextmanager
    async def open_pool(self):
        async with runtime.open_worker_pool(
            self.worker_count, backend=self.backend
        ) as pool:
            # Beside a test that looks all the time an interpreter starts slowly.
            await pool.spawn_cpu_work(abs, 0)
            yield pool

    def statistics(self):
        now = super().statistics()
        return dataclasses.replace(now, jobs_completed=now.jobs_completed - 1)

    async def run(self):
        try:
            await super().run()
        finally:
            for owner in (self.begun, *(job.gate for job in self.jobs)):
                owner.close()

    def in_state(self, state):
        return [job for job in self.jobs if job.expected.state is state]

    async def apply_outside(self, verb, *arguments):
        running = self.in_state(RUNNING)
        if verb == "end" and running:
            running[arguments[0] % len(running)].let_end()
        elif verb == "deadline" and self.jobs:
            job = self.jobs[arguments[0] % len(self.jobs)]
            job.scope.deadline = trio.current_time() + 1
            if job.seen is None:
                job.expected.cancel_waiter()
            await trio.sleep(1)
        elif verb == "shutdown" and not self.is_closed:
            await self.shut_down(*arguments)
        else:
            self.apply(verb, *arguments)

    async def shut_down(self, grace):
        """Follow the steps of a shutdown along the clock."""
        self.is_closed = True
        reports = []
        is_over = trio.Event()

        async def ask():
            reports.append(await self.pool.shutdown(grace))
            is_over.set()

        in_flight, running = self.statistics().in_flight, self.in_state(RUNNING)
        abandoned, queued = self.statistics().abandoned, len(self.in_state(QUEUED))
        self.nursery.start_soon(ask)
        await trio.sleep(grace)
        for job in self.jobs:
            job.expected.ask()
        await self.settle()  # meanwhile the clock stands still
        for job in self.in_state(RUNNING):
            job.expected.interrupt()
            if not job.expected.is_interrupted:
                job.expected.leave_behind()
        await trio.sleep(TOKEN_GRACE)
        await self.settle()
        await is_over.wait()
        (report,) = reports
        left = self.in_state(RUNNING)
        assert report.completed == 0
        assert report.cancelled == len(running) - len(left)
        # With what was withdrawn before, where the empty entry was still queued.
        assert queued <= report.withdrawn <= in_flight - len(running)
        assert len(report.still_running) == len(left)
        assert report.abandoned == abandoned

    async def settle(self):
        """Wait until the facts agree with the model; fail at once if one cannot."""
        # A call that polls sees its cancellation only when it parks.
        await trio.testing.wait_all_tasks_blocked()
        give_up = time.monotonic() + TIMEOUT
        while True:
            for job in self.jobs:
                job.note()
            self.check_answers()
            missing = self.missing()
            if not missing:
                return
            assert time.monotonic() < give_up, missing
            await trio.lowlevel.checkpoint()

    def missing(self):
        """Return what the model says and the pool does not; empty if they agree."""
        now = self.statistics()
        running = len(self.in_state(RUNNING))
        live = running + len(self.in_state(QUEUED))
        abandoned = [job for job in self.jobs if job.expected.is_abandoned]
        facts = {
            "accepted": (all(j.is_accepted or j.seen for j in self.jobs), True),
            "began": (running, min(self.worker_count, live)),
            "running": (now.running, running),
            "abandoned": (now.abandoned, len(abandoned)),
            "ended": ((now.jobs_completed, now.jobs_failed), self.counts()),
            "waiting": (
                [j for j in self.jobs if j.expected.answers and not j.seen],
                [],
            ),
        }
        return {name: pair for name, pair in facts.items() if pair[0] != pair[1]}

    def let_go(self):
        for job in self.jobs:
            job.gate.open()

    async def finish(self):
        while running := self.in_state(RUNNING):
            running[0].let_end()
            await self.settle()


@pytest.fixture
def backend(backend):
    """Leave out what takes minutes.

    Without a GIL an interpreter hardly comes to run beside a thread that looks all the
    time, as the plays do.
    """
    if backend == "interpreters" and not sys._is_gil_enabled():
        pytest.skip("takes minutes without a GIL")
    return backend


# The programs

on_cancel = st.sampled_from(["wait", "abandon", "interrupt"])
ending = st.sampled_from(["value", "look", Failure, STOPPED])
number = st.integers(0, 5)
bring = st.tuples(st.sampled_from(["call", "submit"]), on_cancel, ending)
end = st.sampled_from(["cancel waiter", "cancel job", "deadline", "end"])
command = bring | st.tuples(end, number)
shutdown = st.tuples(st.just("shutdown"), st.sampled_from([0, 1]))


def programs(*between):
    """Make programs of a few jobs, commands, and at most one shutdown."""
    return st.builds(
        lambda *parts: list(itertools.chain(*parts)),
        st.lists(bring, min_size=1, max_size=4),
        st.just(between),
        st.lists(command, max_size=15),
        st.lists(shutdown, max_size=1),
        st.lists(command, max_size=5),
    )


# Each rung, whatever hypothesis comes upon.
RUNGS = [
    [("call", on_cancel, ending), (verb, 0), ("end", 0)]
    for on_cancel in ("wait", "abandon", "interrupt")
    for ending in ("value", "look", Failure, STOPPED)
    for verb in ("cancel waiter", "deadline", "end")
]


def play(run):
    trio.run(run, clock=trio.testing.MockClock(autojump_threshold=0))


@hypothesis.settings(max_examples=200, deadline=None)
@hypothesis.given(programs(("end", 0)))
def test_ladder_in_an_inline_pool_is_as_the_model_says(program):
    play(InlinePlay(program).run)


@hypothesis.settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@hypothesis.given(program=programs(), worker_count=st.integers(1, 2))
def test_ladder_on_workers_is_as_the_model_says(backend, program, worker_count):
    play(HeldPlay(program, worker_count, backend).run)


@pytest.mark.parametrize("program", RUNGS, ids=str)
def test_ladder_each_rung_on_a_worker_is_as_the_model_says(backend, program):
    play(HeldPlay(program, 1, backend).run)


# What the model has shown


async def test_shutdown_abandoned_job_left_behind_is_forgotten_at_its_end(single, gate):
    async with cancelled_after(gate.wait_entered):
        await single.spawn_cpu_work(gate.hold, on_cancel="abandon")
    report = await single.shutdown(0)
    assert len(report.still_running) == 1
    gate.open()
    await wait_until(lambda: single.statistics().abandoned == 0)


def test_interrupt_first_of_a_process_inside_a_shield_is_raised_after_it():
    program = """
import runtime, trio
from runtime.testing import inline_pool

async def main():
    async with inline_pool() as pool:
        def work():
            with runtime.uninterruptible():
                job.cancel()
            while True:
                pass

        job = pool.submit_nowait(work, on_cancel="interrupt")
        try:
            await job.wait()
        except runtime.TaskCancelled:
            print("ended")

trio.run(main)
"""
    done = subprocess.run(
        [sys.executable, "-P", "-c", program],
        capture_output=True,
        timeout=TIMEOUT,
        text=True,
    )
    assert done.stdout == "ended\n"
