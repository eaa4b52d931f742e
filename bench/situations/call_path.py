"""The way of one call: which files it enters, and with how many calls of Python.

Counted with `sys.setprofile`, in the Trio thread for one warm call, Trio's own part
included, and in the worker's interpreter where there is one. Calls of C do not count.
"""

import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import FrameType

import trio

import runtime

from ..harness import Settings
from ..report import Report
from ..work import echo

__all__ = ("run",)

PACKAGE = str(Path(runtime.__file__).parent)
WARM_UP = 50
ITEMS = 100
BACKENDS = ("threads", "interpreters")


@dataclass(slots=True)
class Way:
    """What was entered, in order."""

    files: list[str] = field(default_factory=list)

    def note(self, frame: FrameType, event: str, _arg: object) -> None:
        """Note the call of a Python function; the profile function."""
        if event == "call" and frame.f_code.co_filename != __file__:
            self.files.append(frame.f_code.co_filename)

    def row(self, title: str, count: int) -> list[str]:
        """Return a row of the table; the figures are per one of `count`."""
        rooms = [Path(file).parent for file in self.files]
        changes = sum(a != b for a, b in pairwise(rooms))
        ours = [file for file in self.files if file.startswith(PACKAGE)]
        return [
            title,
            *(str(len(set(files))) for files in (self.files, ours)),
            *(f"{n / count:.1f}" for n in (len(self.files), len(ours), changes)),
        ]


def run(settings: Settings) -> Report:
    """Measure the situation."""
    rows = [
        row
        for backend in BACKENDS
        for row in trio.run(_measure, backend, settings.worker_count)
    ]
    rows.append(trio.run(_measure_trio))
    return Report(
        name="call_path",
        title="files that one call enters, and its calls of Python functions",
        notes=[
            "home: the Trio thread; worker: inside the interpreter of the worker",
            f"items: {ITEMS} in one batch, map or chain; calls are per item",
        ],
        table=[["", "files", "ours", "calls", "ours", "changes of room"], *rows],
        samples={},
        sample_unit="",
    )


async def _measure(backend: str, worker_count: int) -> list[list[str]]:
    async with runtime.open_worker_pool(worker_count, backend=backend) as pool:
        ways: dict[str, tuple[Callable[[], Coroutine[object, object, object]], int]] = {
            "one call": (partial(pool.spawn_cpu_work, echo, 1), 1),
            "batch": (partial(pool.spawn_parallel_batch, range(ITEMS), echo), ITEMS),
            "map": (partial(_map, pool), ITEMS),
            "chain": (lambda: _chain(pool), ITEMS),
        }
        rows = []
        for title, (call, count) in ways.items():
            for _ in range(WARM_UP):
                await call()
            rows.append((await _watched(call)).row(f"{backend}, {title}, home", count))
        if backend == "interpreters":
            rows.insert(1, await _in_worker())
        return rows


async def _measure_trio() -> list[str]:
    call = partial(trio.to_thread.run_sync, echo, 1)
    for _ in range(WARM_UP):
        await call()
    return (await _watched(call)).row("trio.to_thread, one call", 1)


async def _watched(call: Callable[[], Coroutine[object, object, object]]) -> Way:
    way = Way()
    sys.setprofile(way.note)
    try:
        await call()
    finally:
        sys.setprofile(None)
    return way


async def _map(pool: runtime.WorkerPool) -> None:
    async with pool.map(echo, range(ITEMS)) as results:
        async for _ in results:
            pass


async def _chain(pool: runtime.WorkerPool) -> int:
    return await pool.par_iter(range(ITEMS)).map(echo).sum()


async def _in_worker() -> list[str]:
    """Count what one call enters inside the interpreter of a pool's only worker."""
    async with runtime.open_worker_pool(1, backend="interpreters") as pool:
        for _ in range(WARM_UP):
            await pool.spawn_cpu_work(echo, 1)
        await pool.spawn_cpu_work(_begin_watch)
        await pool.spawn_cpu_work(echo, 1)
        way = Way(await pool.spawn_cpu_work(_end_watch))
    return way.row("interpreters, one call, worker", 1)


_here: list[Way] = []  # in the worker's interpreter


def _begin_watch() -> None:
    _here.append(Way())
    sys.setprofile(_here[0].note)


def _end_watch() -> list[str]:
    sys.setprofile(None)
    return _here.pop().files
