"""Cancel everywhere: each call, cancelled after each step that Trio takes in it.

What is counted as a step is each step of any task, between the call's begin and its
end; with the threads of the pool the number differs from one run to the next.
"""

import os

import every_call
import pytest
import trio
from helpers import TIMEOUT

pytestmark = pytest.mark.slow

ROUNDS = int(os.environ.get("RUNTIME_EVERYWHERE_ROUNDS", "1"))
# So many tries with no more steps end the search: another run may have more.
MISSES = 3


class CancelsAtStep(trio.abc.Instrument):
    """Cancels a scope after a number of steps."""

    def __init__(self, scope, step):
        self._scope = scope
        self._left = step
        self.has_fired = False

    def after_task_step(self, _task):
        self._left -= 1
        if self._left == 0:
            self.has_fired = True
            self._scope.cancel()

    def __enter__(self):
        trio.lowlevel.add_instrument(self)
        return self

    def __exit__(self, *_error):
        trio.lowlevel.remove_instrument(self)


async def cancel_at(case, env, step):
    """Make the call; return whether it had so many steps."""
    with trio.CancelScope() as scope, CancelsAtStep(scope, step) as instrument:
        await case.run(env)
    await every_call.wait_balanced(env)
    return instrument.has_fired


async def cancel_everywhere(case, backend):
    """Return how many steps there were."""
    async with case.open(backend) as env:

        async def cancel_and_check(step):
            with trio.fail_after(TIMEOUT) as scope:
                scope.shield = True
                has_fired = await cancel_at(case, env, step)
                if case.needs != "block":
                    await case.check_works(env)
            return has_fired

        steps = Steps()
        while not steps.are_over:
            steps.note(await cancel_and_check(steps.next))
    return steps.count


class Steps:
    """Counts steps until a few tries in a row had no more of them."""

    def __init__(self):
        self.next = 1
        self.count = 0

    @property
    def are_over(self):
        return self.next > self.count + MISSES

    def note(self, has_fired):
        if has_fired:
            self.count = self.next
        self.next += 1


@pytest.mark.parametrize("round_number", range(ROUNDS))
@pytest.mark.parametrize("case", every_call.CASES.values(), ids=list(every_call.CASES))
def test_cancel_at_every_step(case, backend, round_number, monkeypatch):
    if backend == "interpreters" and case.threads_only:
        pytest.skip("threads only")
    monkeypatch.setenv("RUNTIME_BACKEND", backend)
    if case.needs == "run":
        steps = Steps()
        while not steps.are_over:
            env = every_call.Env(backend)
            steps.note(trio.run(cancel_at, case, env, steps.next))
        count = steps.count
    else:
        count = trio.run(cancel_everywhere, case, backend)
    print(f"cancel everywhere, {backend}, {case.name}: {count} steps")  # noqa: T201
    assert count
