"""The HTTP service under load and faults; both sides count, and the counts agree.

``RUNTIME_SOAK_SECONDS`` sets the length. The seed is printed.
"""

import os
import random
from collections import Counter

import pytest
import trio

pytest.importorskip("hypercorn")
pytest.importorskip("starlette")
pytest.importorskip("prometheus_client")

from http_client import BrokenAnswerError, connect, post, request_bytes

pytestmark = [pytest.mark.slow, pytest.mark.stress]

SECONDS = float(os.environ.get("RUNTIME_SOAK_SECONDS", "3"))
CLIENTS = 24
TEXT = " ".join(["Reading makes a full man."] * 200).encode()

# What a client may do, how often, and the statuses it may get.
GOOD = {200, 503}
ANSWERED = {
    "text": (10, post(TEXT), GOOD),
    "short": (6, post(b"Short."), GOOD),
    "wordless": (2, post(b"..."), {422, 503}),
    "health": (2, request_bytes("GET", "/health"), {200}),
    "type": (1, post(b"x", content_type="image/png"), {415}),
    "utf8": (1, post(b"\xff"), {400}),
    "large": (1, post(b"x" * 70_000), {413}),
    "malformed": (1, b"NONSENSE\r\n\r\n", {400}),
}
# Where a whole machine stands still for longer than this, the service takes its clients
# for gone, and is right.
PATIENCE = 5.0
VANISHES = {"vanish after": post(TEXT), "vanish within": post(TEXT)[:-50]}


class Counts:
    """What the clients saw."""

    def __init__(self):
        self.statuses = Counter()
        self.vanished = 0
        self.broken = Counter()


async def client(port, source, counts, stop):
    """Make requests, one connection after the other, until told to stop."""
    names = [*ANSWERED, *VANISHES, "slow"]
    weights = [ANSWERED[n][0] for n in ANSWERED] + [1, 1, 1]
    while not stop.is_set():
        try:
            async with connect(port) as connection:
                for _ in range(source.randrange(1, 8)):
                    (name,) = source.choices(names, weights)
                    if not await ask(connection, name, counts):
                        break
        except OSError:
            if not stop.is_set():
                raise
            return


async def ask(connection, name, counts):
    """Make one request; return whether the connection can be used again."""
    if name in VANISHES:
        counts.vanished += 1
        await connection.stream.send_all(VANISHES[name])
        return False
    allowed = GOOD
    begin = trio.current_time()
    try:
        if name == "slow":
            data = post(b"Slow clients are clients, too.")
            for start in range(0, len(data), 16):
                await connection.stream.send_all(data[start : start + 16])
                await trio.lowlevel.checkpoint()
            answer = await connection.answer()
        else:
            _, data, allowed = ANSWERED[name]
            answer = await connection.ask(data)
    except (BrokenAnswerError, trio.BrokenResourceError):
        if trio.current_time() - begin > PATIENCE:
            counts.vanished += 1
        else:
            counts.broken[name] += 1
        return False
    if answer.status == 408 and trio.current_time() - begin > PATIENCE:
        return False
    assert answer.status in allowed, (name, answer)
    if allowed & GOOD and name != "health":
        counts.statuses[answer.status] += 1
    return name not in ("large", "malformed") and answer.status != 400


def test_stress_service_counts_what_its_clients_count(open_service):
    """Load with errors, slow clients and disconnects; SIGTERM in the middle of it.

    Not an async test: those have a time limit.
    """
    trio.run(soak, open_service)


async def soak(open_service):
    """Make requests for a while, end the service, and compare the counts."""
    seed = random.randrange(2**32)
    print(f"seed {seed}, {SECONDS} s")  # noqa: T201  # shown when it fails
    counts, stop = Counts(), trio.Event()
    async with (
        open_service("--max-pending", "16") as service,
        trio.open_nursery() as nursery,
    ):
        for number in range(CLIENTS):
            source = random.Random(seed + number)
            nursery.start_soon(client, service.port, source, counts, stop)
        await trio.sleep(SECONDS)
        broken_before = dict(counts.broken)
        stop.set()
        service.terminate()
        closed = await service.wait_closed()
    broken = sum(counts.broken.values())  # by the signal: Hypercorn closes idle ones
    print(dict(counts.statuses), counts.vanished, broken, closed)  # noqa: T201
    # Before the signal nobody was left without an answer.
    assert broken_before == {}
    assert counts.statuses[503] <= closed["refused"]
    answered = counts.statuses[200] + counts.statuses[422]
    assert answered > 0
    assert 0 <= closed["failed"] - counts.statuses[422] <= broken
    # Each request was answered or refused, but for those whose client vanished.
    seen = answered + counts.statuses[503]
    taken = closed["accepted"] + closed["refused"]
    assert seen <= taken <= seen + counts.vanished + broken
    ended = closed["answered"] + closed["failed"] + closed["withdrawn"]
    assert closed["accepted"] == ended
