"""What a scrape sees."""

import sys

import pytest

import runtime

prometheus_client = pytest.importorskip("prometheus_client")


def fail(request):
    raise KeyError(request)


@pytest.fixture
def registry():
    return prometheus_client.CollectorRegistry(auto_describe=True)


async def test_scrape_tells_what_became_of_requests(registry):
    config = runtime.ParallelConfig(worker_count=1)
    async with runtime.ParallelProcessor(str, config, name="text") as processor:
        registry.register(runtime.ProcessorCollector(processor))
        await processor.execute_parallel_batch(range(30))

        def value(name, **labels):
            return registry.get_sample_value(name, {"processor": "text", **labels})

        assert value("runtime_requests_total", outcome="processed") == 30
        assert value("runtime_requests_total", outcome="refused") == 0
        assert value("runtime_requests_in_flight") == 0
        assert value("runtime_batches_total") >= 3
        assert 0 <= value("runtime_worker_utilization_ratio", worker="0") <= 1
        for name in ("latency", "queue", "run"):
            metric = f"runtime_request_{name}_seconds"
            assert value(f"{metric}_count") == 30
            assert value(f"{metric}_bucket", le="+Inf") == 30
            assert value(f"{metric}_sum") > 0


async def test_buckets_are_cumulative_and_hold_what_lies_below(registry):
    async with runtime.ParallelProcessor(
        str, runtime.ParallelConfig(worker_count=1), name="text"
    ) as processor:
        registry.register(runtime.ProcessorCollector(processor))
        await processor.execute_parallel_batch(range(100))
        (metric,) = (
            m for m in registry.collect() if m.name == "runtime_request_latency_seconds"
        )
        text = prometheus_client.generate_latest(registry).decode()
    counts = [s.value for s in metric.samples if s.name.endswith("_bucket")]
    assert counts == sorted(counts)
    assert counts[-1] == 100
    assert 'runtime_requests_total{outcome="processed",processor="text"} 100.0' in text


async def test_two_processors_share_a_registry(registry):
    async with (
        runtime.open_worker_pool(1) as pool,
        runtime.ParallelProcessor(str, pool=pool, name="a") as a,
        runtime.ParallelProcessor(fail, pool=pool, name="b") as b,
    ):
        registry.register(runtime.ProcessorCollector(a))
        registry.register(runtime.ProcessorCollector(b))
        await b.execute_parallel_batch(range(3))
        labels = {"processor": "b", "outcome": "failed"}
        assert registry.get_sample_value("runtime_requests_total", labels) == 3


@pytest.mark.thread_unsafe
def test_missing_package_is_told_with_the_way_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(ImportError, match=r"trio-runtime\[metrics\]"):
        runtime.ProcessorCollector(None)
