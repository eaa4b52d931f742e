"""How long a thread may run before another one's turn comes."""

import re
import threading
from pathlib import Path

import pytest

import runtime

TASKS = Path("/proc/self/task")


def slice_of(thread_id):
    """Return a thread's time slice in ns; None if the system does not tell."""
    try:
        text = (TASKS / str(thread_id) / "sched").read_text()
    except OSError:
        return None
    found = re.search(r"^se\.slice\s*:\s*(\d+)", text, re.MULTILINE)
    return None if found is None else int(found[1])


def threads():
    """Return the ids of all threads there are."""
    return {task.name for task in TASKS.iterdir()}


@pytest.fixture
def slices(native):
    """Set the slices in a thread of their own; return what the system says of each."""

    def run(*asked):
        found = []

        def body():
            for slice_ns in asked:
                was_asked = native.set_time_slice(slice_ns)
                found.append((was_asked, slice_of(threading.get_native_id())))

        thread = threading.Thread(target=body)
        thread.start()
        thread.join()
        return found

    if run(0)[0] != (True, slice_of(threading.get_native_id())):
        pytest.skip("the system lets nobody choose, or does not tell")
    if run(7_000_000)[0][1] != 7_000_000:
        pytest.skip("the kernel knows only one time slice for all")
    return run


def test_a_thread_asks_for_slices_and_gives_them_back(slices):
    usual = slice_of(threading.get_native_id())
    assert slices(10_000_000, 0) == [(True, 10_000_000), (True, usual)]


def test_what_is_no_time_is_an_error(native):
    with pytest.raises(TypeError):
        native.set_time_slice("long")
    with pytest.raises(OverflowError):
        native.set_time_slice(-1)
    with pytest.raises(OverflowError):
        native.set_time_slice(2**64)


@pytest.mark.usefixtures("interpreters", "fresh_interpreters")
async def test_only_the_worker_computes_in_long_slices(slices):
    """Its watch, which the first job that may be interrupted starts, does not."""
    before = threads()
    async with runtime.open_worker_pool(1, backend="interpreters") as pool:
        await pool.spawn_cpu_work(abs, -1, on_cancel="interrupt")
        made = threads() - before
        long = [name for name in made if slice_of(name) == 10_000_000]
        assert len(made) == 2
        assert len(long) == 1
