"""Pools of several kinds."""

from types import SimpleNamespace

import pytest
import trio
from helpers import TIMEOUT

from runtime._backends.threads import ThreadBackend
from runtime._frontend.opening import run_pool


@pytest.fixture
async def held(single, gate):
    """A pool whose one worker is held until the gate is opened."""
    single.submit_nowait(gate.hold)
    await gate.wait_entered()
    yield single
    gate.open()


class ManualBackend(ThreadBackend):
    """One worker that runs a job only when the test says so."""

    __slots__ = ("claims_idle",)

    def start(self):
        self.claims_idle = True

    def join(self, *, but_not=()):
        pass

    def is_anyone_idle(self):
        return self.claims_idle

    def step(self):
        """Run one entry of the queues; return whether there was one."""
        return self._workers[0].run_one()

    def step_all(self):
        """Run all there is."""
        while self.step():
            pass


@pytest.fixture
async def manual():
    """A pool over a `ManualBackend`: ``manual.pool`` and ``manual.backend``."""

    manual = SimpleNamespace(backend=ManualBackend(1, name="manual"))
    async with run_pool(
        lambda _nursery: manual.backend, name="manual", queue_capacity=10
    ) as manual.pool:
        yield manual
        with trio.fail_after(TIMEOUT) as scope:
            scope.shield = True
            while manual.pool.statistics().in_flight or manual.backend.queued():
                manual.backend.step_all()
                await trio.lowlevel.checkpoint()
