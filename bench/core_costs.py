"""What a fork and a submit cost on the core that this process uses.

`RUNTIME_CORE` chooses the core when `runtime` is imported, so two cores are compared
by calling these functions in two processes.
"""

import time

import runtime

from .compare.our_core import open_core
from .forks import fib, fib_by_join, fork_count
from .harness import WrongAnswerError
from .work import echo

__all__ = ("core_name", "fork_seconds", "submit_seconds")


def core_name() -> str:
    """Return which core this process uses."""
    return runtime.lowlevel.core


def fork_seconds(number: int) -> float:
    """Return the time of a fork, less what the plain calls take: on one worker."""
    with open_core(1) as core:
        plain = core.submit(_timed_fib, number).result()
        forked = core.submit(_timed_fib_by_join, number).result()
    return (forked - plain) / fork_count(number)


def submit_seconds(job_count: int) -> float:
    """Return the time of a submit and its share of the waits: on one worker."""
    with open_core(1) as core:
        start_ns = time.perf_counter_ns()
        tickets = [core.submit(echo, index) for index in range(job_count)]
        answers = [ticket.result() for ticket in tickets]
        elapsed_ns = time.perf_counter_ns() - start_ns
    if answers != list(range(job_count)):
        raise WrongAnswerError("submit gave a wrong answer")
    return elapsed_ns / 1e9 / job_count


def _timed_fib(number: int) -> float:
    start_ns = time.perf_counter_ns()
    fib(number)
    return (time.perf_counter_ns() - start_ns) / 1e9


def _timed_fib_by_join(number: int) -> float:
    start_ns = time.perf_counter_ns()
    answer = fib_by_join(number)
    elapsed_ns = time.perf_counter_ns() - start_ns
    if answer != fib(number):
        raise WrongAnswerError("join gave a wrong answer")
    return elapsed_ns / 1e9
