"""The sliding window and its alarms."""

import pytest
import trio

import runtime


def report(size=10, failed=0, elapsed_ns=1_000_000, latency_ns=2_000_000):
    return runtime.BatchReport(
        time=trio.current_time(),
        worker_index=0,
        size=size,
        failed=failed,
        elapsed_ns=elapsed_ns,
        latencies_ns=(latency_ns,) * size,
    )


async def report_for(monitor, seconds, **what):
    """Report a batch every tenth of a second."""
    for _ in range(round(seconds * 10)):
        monitor.note_batch(report(**what))
        await trio.sleep(0.1)


async def test_figures_are_those_of_the_window(autojump_clock):
    monitor = runtime.StreamPerformanceMonitor(window=10)
    await report_for(monitor, 20, size=50)
    await report_for(monitor, 12, size=10, failed=1)
    found = monitor.performance()
    assert found.requests_per_second == pytest.approx(100, rel=0.15)
    assert found.failed_ratio == pytest.approx(0.1)
    assert found.mean_batch_size == 10
    assert found.busy_workers == pytest.approx(0.01, rel=0.15)
    assert 0.002 <= found.latency_p50 <= 0.0025
    assert found.latency_p99 == found.latency_p50


async def test_short_history_is_not_spread_over_the_window(autojump_clock):
    monitor = runtime.StreamPerformanceMonitor(window=100)
    await report_for(monitor, 20, size=10)
    assert monitor.performance().requests_per_second == pytest.approx(100, rel=0.05)


async def test_figures_fall_to_nothing_when_nothing_comes(autojump_clock):
    monitor = runtime.StreamPerformanceMonitor(window=10)
    assert monitor.performance() == runtime.StreamPerformance()
    await report_for(monitor, 1)
    monitor.note_refused(trio.current_time())
    await trio.sleep(12)
    assert monitor.performance() == runtime.StreamPerformance()


async def test_refusals_are_counted(autojump_clock):
    monitor = runtime.StreamPerformanceMonitor(window=10)
    for _ in range(20):
        monitor.note_refused(trio.current_time())
        await trio.sleep(0.5)
    assert monitor.performance().refused_per_second == pytest.approx(2, rel=0.15)


async def test_memory_does_not_grow_with_the_load(autojump_clock):
    monitor = runtime.StreamPerformanceMonitor(window=1)
    await report_for(monitor, 100)
    assert len(monitor._slots) <= 12


async def test_alarm_calls_once_for_each_rise(autojump_clock):
    calls = []
    monitor = runtime.StreamPerformanceMonitor(
        window=1,
        thresholds=[
            runtime.Threshold("failed_ratio", 0.5, lambda *what: calls.append(what))
        ],
    )
    for failed in (0, 9, 9, 0, 9):
        await report_for(monitor, 3, failed=failed)
    assert [figure for figure, _ in calls] == ["failed_ratio"] * 2
    assert all(value > 0.5 for _, value in calls)


def test_misuse_figure_and_window_are_named():
    with pytest.raises(ValueError, match="figure must be one of"):
        runtime.Threshold("speed", 1, print)
    with pytest.raises(ValueError, match="window"):
        runtime.StreamPerformanceMonitor(window=0)
