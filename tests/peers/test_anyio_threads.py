"""AnyIO's own tests of its threads, on Trio, with our pool in place of Trio's threads.

They are in AnyIO's source distribution only; `RUNTIME_PEERS` names the directory it
was downloaded to (tox does so).
"""

import importlib.metadata
import importlib.util
import os
import sys
import tarfile
import types
from pathlib import Path

import pytest
import trio
from peers import shim
from peers.borrow import borrow

if "RUNTIME_PEERS" not in os.environ:
    pytest.skip("needs AnyIO's source distribution", allow_module_level=True)


def unpacked():
    """Return the directory of AnyIO's tests, of the version that is installed."""
    place = Path(os.environ["RUNTIME_PEERS"])
    name = f"anyio-{importlib.metadata.version('anyio')}"
    if not (place / name).exists():
        with tarfile.open(place / f"{name}.tar.gz") as archive:
            archive.extractall(place, filter="data")
    return place / name / "tests"


def imported(directory, name):
    """Return a module of AnyIO's tests; what it asks of their conftest is ours."""
    spec = importlib.util.spec_from_file_location(
        f"{PACKAGE}.{name}", directory / f"{name}.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def return_non_coro_awaitable(function):
    """Return the function made one that returns an awaitable of another kind."""

    class Call:
        def __init__(self, *args):
            self.args = args

        def __await__(self):
            return function(*self.args).__await__()

    return Call


PACKAGE = "anyio_own_tests"
sys.modules[PACKAGE] = types.ModuleType(PACKAGE)
CONFTEST = sys.modules[f"{PACKAGE}.conftest"] = types.ModuleType(f"{PACKAGE}.conftest")
CONFTEST.asyncio_params = ["asyncio"]
CONFTEST.no_other_refs = list
CONFTEST.return_non_coro_awaitable = return_non_coro_awaitable


@pytest.fixture(autouse=True)
def our_threads(monkeypatch):
    """Give AnyIO our functions where it calls Trio's."""
    monkeypatch.setattr("anyio._backends._trio.run_sync", shim.to_thread_run_sync)
    for name in ("check_cancelled", "run", "run_sync"):
        ours = getattr(shim, f"from_thread_{name}")
        monkeypatch.setattr(trio.from_thread, name, ours)


@pytest.fixture
def anyio_backend_name():
    return "trio"


@pytest.fixture
def anyio_backend_options():
    return {}


DIRECTORY = unpacked()
TO_THREAD = imported(DIRECTORY, "test_to_thread")
FROM_THREAD = imported(DIRECTORY, "test_from_thread")
WITHDRAWN = (
    "a call that is cancelled before it began never runs; the test takes it that it "
    "has begun once all tasks are blocked"
)

borrow(
    TO_THREAD,
    globals(),
    differs={},
    leaves_out={"test_cancel_wait_on_thread": WITHDRAWN},
    prefixes=("test_asyncio", "TestBlockingPortal"),
)
borrow(
    FROM_THREAD,
    globals(),
    differs={},
    leaves_out={
        "test_thread_cancelled": WITHDRAWN,
        "test_thread_cancelled_and_abandoned": WITHDRAWN,
        "TestRunSyncFromThread.test_get_current_task": "runs on asyncio alone",
    },
    prefixes=("TestBlockingPortal",),
)
