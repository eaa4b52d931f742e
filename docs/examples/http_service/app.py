"""A web service that scores texts on all cores, and shows how it is doing.

``POST /score`` takes a text and answers with JSON. The work is done by a
`runtime.ParallelProcessor`, which refuses what would not fit; the answer is then 503
with ``Retry-After``. ``/metrics`` is for Prometheus, ``/`` shows a live page.
"""

import json
import math
from collections.abc import AsyncIterator
from pathlib import Path

import prometheus_client
import trio
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import (
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Route

import runtime

__all__ = ("CONFIG", "Service")

MAX_BODY = 64 * 1024
BODY_TIMEOUT = 10.0  # seconds a client may take to send its text
PAGE = Path(__file__).with_name("page.html")

CONFIG = runtime.ParallelConfig(
    batch_size=8,
    target_batch_time=0.002,
    max_pending_tasks=256,
    backpressure="refuse",
    thread_name_prefix="score",
)


class Service:
    """The application, around an open processor."""

    def __init__(
        self, processor: runtime.ParallelProcessor[str, dict[str, object]]
    ) -> None:
        self._processor = processor
        self._monitor = runtime.StreamPerformanceMonitor(window=5.0)
        processor.with_performance_monitor(self._monitor)
        self._registry = prometheus_client.CollectorRegistry()
        self._registry.register(runtime.ProcessorCollector(processor))
        self.closing = trio.Event()
        self.app = Starlette(
            routes=[
                Route("/", self.page),
                Route("/score", self.score, methods=["POST"]),
                Route("/health", self.health),
                Route("/metrics", self.metrics),
                Route("/events", self.events),
            ]
        )

    async def score(self, request: Request) -> Response:
        """Score the text in the request's body."""
        if request.headers.get("content-type", "").partition(";")[0] != "text/plain":
            return _error(415, "send text/plain")
        try:
            with trio.fail_after(BODY_TIMEOUT):
                body = await _body(request)
            text = body.decode()
        except _TooLargeError:
            return _error(413, f"send at most {MAX_BODY} bytes")
        except trio.TooSlowError:
            return _error(408, "send faster")
        except UnicodeDecodeError:
            return _error(400, "send UTF-8")
        except ClientDisconnect:
            return _error(400, "the text broke off")
        try:
            return JSONResponse(await self._processor.execute(text))
        except runtime.BackpressureExceeded as refused:
            wait = max(1, math.ceil(refused.retry_after))
            return _error(503, "too busy", {"Retry-After": str(wait)})
        except runtime.PoolClosedError:
            return _error(503, "shutting down", {"Retry-After": "5"})
        except ValueError as error:  # the handler's own
            return _error(422, str(error))

    async def health(self, _request: Request) -> Response:
        """Answer without any work."""
        return PlainTextResponse("ok\n")

    async def metrics(self, _request: Request) -> Response:
        """Tell Prometheus."""
        return Response(
            prometheus_client.generate_latest(self._registry),
            media_type="text/plain; version=0.0.4",
        )

    async def page(self, _request: Request) -> Response:
        """Show the live page."""
        return HTMLResponse(PAGE.read_text())

    async def events(self, _request: Request) -> Response:
        """Send the figures twice a second, until the service closes."""
        return StreamingResponse(self._figures(), media_type="text/event-stream")

    async def _figures(self) -> AsyncIterator[str]:
        before = self._processor.statistics()
        while not self.closing.is_set():
            with trio.move_on_after(0.5):
                await self.closing.wait()
            now = self._processor.statistics()
            figures = self._monitor.performance()
            elapsed_ns = now.elapsed_ns - before.elapsed_ns
            data = {
                "requests_per_second": figures.requests_per_second,
                "refused_per_second": figures.refused_per_second,
                "latency_p50_ms": figures.latency_p50 * 1e3,
                "latency_p99_ms": figures.latency_p99 * 1e3,
                "in_flight": now.in_flight,
                "answered": now.processed,
                # Busy time is a share of all time so far; make it one of late.
                "workers": [
                    _recent_share(after, now.elapsed_ns, share, before.elapsed_ns)
                    / elapsed_ns
                    for after, share in zip(
                        now.worker_utilization, before.worker_utilization, strict=True
                    )
                ],
            }
            before = now
            yield f"data: {json.dumps(data)}\n\n"


def _recent_share(
    share: float, elapsed_ns: int, share_before: float, elapsed_before_ns: int
) -> float:
    return max(0.0, share * elapsed_ns - share_before * elapsed_before_ns)


class _TooLargeError(Exception):
    """A body is longer than we take."""


async def _body(request: Request) -> bytes:
    """Read the body, but no more of it than we take."""
    pieces = bytearray()
    async for piece in request.stream():
        pieces += piece
        if len(pieces) > MAX_BODY:
            raise _TooLargeError
    return bytes(pieces)


def _error(status: int, words: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"error": words}, status, headers)
