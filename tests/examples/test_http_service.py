"""The HTTP service over a real socket: answers, refusals, bad input, its end."""

import json
import os
import re
import sys
from pathlib import Path

import pytest
import trio

pytest.importorskip("hypercorn")
pytest.importorskip("starlette")
pytest.importorskip("prometheus_client")

from http_client import BrokenAnswerError, connect, post, request_bytes

sys.path.append(str(Path(__file__).parents[2] / "docs/examples/http_service"))
from scoring import score

pytestmark = pytest.mark.slow  # starts a process

TEXT = "The cat sat. It was happy there!"
LONG = " ".join(["Reading makes a full man."] * 400).encode()


async def metric(port, name, **labels):
    async with connect(port) as connection:
        text = (await connection.ask(request_bytes("GET", "/metrics"))).body.decode()
    wanted = {f'{k}="{v}"' for k, v in labels.items()}
    for line in text.splitlines():
        if line.startswith(name) and all(label in line for label in wanted):
            return float(line.rpartition(" ")[2])
    raise AssertionError(f"no {name} in the metrics")


async def test_text_is_scored(open_service):
    async with open_service() as service, connect(service.port) as connection:
        answer = await connection.ask(post(TEXT.encode()))
        assert answer.status == 200
        assert json.loads(answer.body) == score(TEXT)
        again = await connection.ask(post(b"Again."))
        assert json.loads(again.body)["words"] == 1


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (post(b"x", content_type="application/json"), 415),
        (post(b"\xff\xfe"), 400),
        (post(b"..."), 422),
        (post(b"x" * 70_000), 413),
        (request_bytes("GET", "/score"), 405),
        (request_bytes("GET", "/nothing"), 404),
        (b"NONSENSE\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"x" * 100_000 + b"\r\n\r\n", 431),
    ],
    ids=["type", "utf8", "wordless", "large", "method", "path", "malformed", "header"],
)
async def test_bad_input_gets_an_answer_and_harms_nobody(open_service, sent, status):
    async with open_service() as service, connect(service.port) as good:
        assert (await good.ask(post(TEXT.encode()))).status == 200
        async with connect(service.port) as bad:
            answer = await bad.ask(sent)
            assert answer.status in (status, 400)  # the server may not tell 431 apart
        assert (await good.ask(post(TEXT.encode()))).status == 200
    assert service.closed["answered"] == 2


async def test_endless_body_is_cut_off(open_service):
    async with open_service() as service, connect(service.port) as connection:
        head = request_bytes(
            "POST", "/score", Content_Type="text/plain", Transfer_Encoding="chunked"
        )
        chunk = b"2000\r\n" + b"x" * 0x2000 + b"\r\n"
        assert (await connection.ask(head + 9 * chunk)).status == 413


async def test_clients_that_vanish_harm_nobody(open_service):
    async with open_service() as service:
        for sent in (b"POST /sc", post(LONG), post(LONG)[:-100]):
            async with connect(service.port) as connection:
                await connection.stream.send_all(sent)
        async with connect(service.port) as connection:
            assert (await connection.ask(post(TEXT.encode()))).status == 200
        service.terminate()
        closed = await service.wait_closed()
        assert 1 <= closed["answered"] <= closed["accepted"] <= 2
        assert closed["refused"] == 0


async def test_overload_is_refused_with_a_hint_and_all_is_counted(open_service):
    statuses = []
    hints = set()

    async def client():
        async with connect(service.port) as connection:
            answer = await connection.ask(post(LONG))
            statuses.append(answer.status)
            if answer.status == 503:
                hints.add(answer.headers["retry-after"])

    async with open_service("--max-pending", "4") as service:
        async with trio.open_nursery() as nursery:
            for _ in range(200):
                nursery.start_soon(client)
        good, refused = statuses.count(200), statuses.count(503)
        assert good + refused == 200
        assert good > 0
        assert refused > 0
        assert all(int(hint) >= 1 for hint in hints)
        port = service.port
        assert await metric(port, "runtime_requests_total", outcome="processed") == good
        assert (
            await metric(port, "runtime_requests_total", outcome="refused") == refused
        )
        assert await metric(port, "runtime_requests_in_flight") == 0
    assert service.closed == {
        "accepted": good,
        "answered": good,
        "failed": 0,
        "withdrawn": 0,
        "refused": refused,
    }


async def test_sigterm_answers_every_accepted_request(open_service):
    statuses = []

    async def client(all_sent):
        async with connect(service.port) as connection:
            await connection.stream.send_all(post(LONG))
            all_sent()
            statuses.append((await connection.answer()).status)

    async with open_service() as service:
        sent = 0
        everything_sent = trio.Event()

        def count():
            nonlocal sent
            sent += 1
            if sent == 100:
                everything_sent.set()

        async with trio.open_nursery() as nursery:
            for _ in range(100):
                nursery.start_soon(client, count)
            await everything_sent.wait()
            while await in_flight(service.port) == 0 and len(statuses) < 100:
                await trio.lowlevel.checkpoint()
            service.terminate()
            closed = await service.wait_closed()
    # A connection that was not taken up yet may be closed without a request read.
    assert statuses.count(200) == closed["accepted"] == closed["answered"]
    assert statuses.count(503) == closed["refused"]
    assert len(statuses) == 100


async def in_flight(port):
    return await metric(port, "runtime_requests_in_flight")


async def test_live_page_is_fed_with_events(open_service):
    async with open_service() as service, connect(service.port) as watcher:
        async with connect(service.port) as connection:
            page = await connection.ask(request_bytes("GET", "/"))
            assert "EventSource" in page.body.decode()
            await connection.ask(post(TEXT.encode()))
        await watcher.stream.send_all(request_bytes("GET", "/events"))
        event = await watcher.until(b"\n\n")
        figures = json.loads(re.search(rb"data: (.*)", event)[1])
        assert figures["answered"] == 1
        assert len(figures["workers"]) >= 1
        # A watcher does not hold up the end.
        service.terminate()
        await service.wait_closed()
        with pytest.raises(BrokenAnswerError):
            while True:
                await watcher.until(b"\n\n")


async def test_health_and_unknown_paths_need_no_worker(open_service):
    async with open_service() as service, connect(service.port) as connection:
        assert (await connection.ask(request_bytes("GET", "/health"))).body == b"ok\n"
    assert set(service.closed.values()) == {0}


def niceness_of_threads(pid):
    threads = sorted(int(entry.name) for entry in Path(f"/proc/{pid}/task").iterdir())
    return [os.getpriority(os.PRIO_PROCESS, thread) for thread in threads]


@pytest.mark.skipif(sys.platform != "linux", reason="threads have no priority there")
async def test_workers_give_way_to_the_trio_thread(open_service):
    async with open_service() as service:
        of_trio, *others = niceness_of_threads(service.process.pid)
        async with connect(service.port) as connection:
            page = (await connection.ask(request_bytes("GET", "/metrics"))).body
    lower = [niceness for niceness in others if niceness > of_trio]
    assert len(lower) == page.count(b"worker_utilization_ratio{")


async def test_occupied_port_is_one_line(open_service):
    async with open_service() as service:
        done = await trio.run_process(
            [sys.executable, "serve.py", "--port", str(service.port)],
            cwd=Path(__file__).parents[2] / "docs/examples/http_service",
            capture_stderr=True,
            check=False,
        )
    assert done.returncode == 1
    (line,) = done.stderr.decode().splitlines()
    assert f"port {service.port}" in line
