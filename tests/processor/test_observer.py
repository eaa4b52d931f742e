"""A monitor is told of each batch, and one that raises harms nobody."""

import logging

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import runtime


class Monitor:
    def __init__(self):
        self.reports, self.refused = [], 0

    def note_batch(self, report):
        self.reports.append(report)

    def note_refused(self, _time):
        self.refused += 1


def fail():
    raise KeyError


async def test_monitor_is_told_of_each_batch(pool, make):
    monitor = Monitor()
    processor = make(pool, batch_size=2)
    assert processor.with_performance_monitor(monitor) is processor
    async with processor:
        await processor.execute_chunked_parallel([1, fail, 3])
        statistics = processor.statistics()
    assert len(monitor.reports) == statistics.batches == 2
    assert sum(report.size for report in monitor.reports) == 3
    assert sum(report.failed for report in monitor.reports) == 1
    for report in monitor.reports:
        assert isinstance(report, runtime.BatchReport)
        assert report.worker_index in (0, 1)
        assert len(report.latencies_ns) == report.size
        assert min(report.latencies_ns) >= report.elapsed_ns > 0


async def test_monitor_may_come_later_and_is_told_of_refusals(single, make, gate):
    monitor = Monitor()
    async with make(
        single, batch_size=1, max_pending_tasks=1, backpressure="refuse"
    ) as processor:
        processor.with_performance_monitor(monitor)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(processor.execute, gate.hold)
            await wait_all_tasks_blocked()
            with pytest.raises(runtime.BackpressureExceeded):
                await processor.execute(1)
            gate.open()
    assert monitor.refused == 1


@pytest.mark.parametrize("method", ["note_batch", "note_refused"])
async def test_monitor_that_raises_is_removed_and_logged(
    single, make, gate, caplog, method
):
    class Broken(Monitor):
        pass

    def explode(self, _what):
        raise ValueError("monitor")

    setattr(Broken, method, explode)
    async with make(
        single, batch_size=1, max_pending_tasks=1, backpressure="refuse"
    ) as processor:
        processor.with_performance_monitor(Broken())
        with caplog.at_level(logging.ERROR, "runtime"):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(processor.execute, gate.hold)
                await wait_all_tasks_blocked()
                with pytest.raises(runtime.BackpressureExceeded):
                    await processor.execute(1)
                gate.open()
            assert await processor.execute(2) == 2
        assert processor._engine.observer.monitor is None
    assert "removes its monitor" in caplog.text
    caplog.clear()  # a record has the traceback, and that the frames with their batch
