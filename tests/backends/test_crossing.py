"""What crosses to another interpreter, and what the error says where it cannot."""

import array
import collections
import functools
import gc
import os
import pickle
import re
import select
import subprocess
import sys
import weakref
import zipfile

import data_parallel
import hypothesis
import jobs
import outcome
import pytest
import trio
import trio.lowlevel
from helpers import TIMEOUT
from hypothesis import strategies as st

import runtime
from runtime._backends.encoding import LARGE, dumps, dumps_whole, loads
from runtime._backends.errors import describe, rebuild
from runtime._backends.interpreters import setup_of
from runtime._backends.limits import set_limits
from runtime._backends.refused import way_out_of_module

pytestmark = pytest.mark.usefixtures("interpreters")

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False)
    | st.text() | st.binary() | st.complex_numbers(allow_nan=False),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    | st.lists(inner).map(tuple) | st.frozensets(st.integers()),
)  # fmt: skip


@pytest.fixture
async def pool():
    async with runtime.open_worker_pool(2, backend="interpreters") as pool:
        yield pool


@pytest.fixture
async def single():
    async with runtime.open_worker_pool(1, backend="interpreters") as pool:
        yield pool


async def test_jobs_run_in_interpreters_of_their_own(pool):
    assert await pool.spawn_cpu_work(jobs.interpreter_id) != jobs.interpreter_id()


@pytest.mark.usefixtures("fresh_interpreters")
async def test_workers_have_globals_of_their_own(single):
    before = jobs.counter
    assert [await single.spawn_cpu_work(jobs.bump) for _ in range(3)] == [1, 2, 3]
    assert jobs.counter == before


async def test_an_initializer_runs_in_each_worker():
    async with runtime.open_worker_pool(
        2, backend="interpreters", initializer=jobs.set_counter, initargs=(40,)
    ) as pool:
        assert await pool.spawn_cpu_work(jobs.bump) == 41


@hypothesis.given(value=PLAIN)
@hypothesis.settings(deadline=None)
def test_plain_data_comes_back_equal(value):
    data, buffers = dumps(value)
    assert loads(data, buffers) == value
    assert loads(dumps_whole(value)) == value


@pytest.mark.parametrize(
    "value",
    [
        b"x" * (2 * LARGE),
        bytearray(b"abc"),
        array.array("d", [1.0, 2.5]),
        2**70,
        "\ud800",
        Ellipsis,
        range(5),
        collections.Counter("aab"),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_values_cross_both_ways(single, value):
    result = await single.spawn_cpu_work(jobs.same, value)
    assert result == value
    assert type(result) is type(value)


async def test_a_view_is_shared_not_copied(single):
    memory = bytearray(1000)
    assert await single.spawn_cpu_work(jobs.fill, memoryview(memory), 7) == 1000
    assert memory == b"\7" * 1000


async def test_a_view_keeps_its_shape(single):
    numbers = memoryview(array.array("i", range(6))).cast("B").cast("i", (2, 3))
    assert await single.spawn_cpu_work(jobs.describe_view, numbers) == (
        "i",
        (2, 3),
        False,
        24,
    )
    assert (await single.spawn_cpu_work(jobs.describe_view, memoryview(b"ab")))[2]


@pytest.mark.parametrize(
    "view",
    [
        memoryview(array.array("d")),
        memoryview(array.array("d", [1.0]))[:0],
        memoryview(b""),
    ],
    ids=["no memory", "slice", "bytes"],
)
def test_an_empty_view_keeps_its_format(view):
    data, buffers = dumps(view)
    for other in (loads(data, buffers), loads(dumps_whole(view))):
        assert (other.format, other.shape) == (view.format, view.shape)


def test_a_view_in_another_order_is_refused():
    """Its memory alone does not say where each of its items is."""
    testbuffer = pytest.importorskip("_testbuffer")
    columns = testbuffer.ndarray(
        list(range(6)), shape=[2, 3], format="B", flags=testbuffer.ND_FORTRAN
    )
    view = memoryview(columns)
    assert view.tolist() == [[0, 2, 4], [1, 3, 5]]
    for send in (dumps, dumps_whole):
        with pytest.raises(pickle.PicklingError, match="C-contiguous"):
            send(view)


@pytest.mark.parametrize("form", [">i", "<d"])
def test_a_view_that_could_not_be_made_again_is_refused_here(form):
    testbuffer = pytest.importorskip("_testbuffer")
    view = memoryview(testbuffer.ndarray([1, 2], shape=[2], format=form))
    for send in (dumps, dumps_whole):
        with pytest.raises(pickle.PicklingError, match="format"):
            send(view)


async def test_a_view_as_a_result_is_a_copy(single):
    memory = bytearray(b"abc")
    result = await single.spawn_cpu_work(jobs.same, memoryview(memory))
    memory[0] = 0
    assert bytes(result) == b"abc"


class Owner(bytearray):
    """Memory whose end can be watched."""


async def test_lent_memory_is_let_go_of_after_the_job(single):
    owner = Owner(100)
    seen = weakref.ref(owner)
    await single.spawn_cpu_work(jobs.fill, memoryview(owner), 1)
    owner.append(1)  # can be resized again
    del owner
    gc.collect()
    assert seen() is None


async def test_a_view_that_outlives_its_job_stays_readable(single):
    owner = Owner(b"abc")
    seen = weakref.ref(owner)
    await single.spawn_cpu_work(jobs.keep_view, memoryview(owner))
    del owner
    gc.collect()
    assert seen() is not None
    assert await single.spawn_cpu_work(jobs.read_kept) == b"abc"
    await single.spawn_cpu_work(jobs.keep_view, None)
    with trio.fail_after(10):
        while seen() is not None:
            await trio.lowlevel.checkpoint()
            gc.collect()


def local_function():
    def inner():
        pass

    return inner


@pytest.mark.parametrize(
    ("fn", "args", "message"),
    [
        (lambda: 0, (), "fn cannot cross .*<lambda>.*top level"),
        (local_function(), (), "fn cannot cross .*inner.*backend='threads'"),
        (functools.partial(jobs.add, lambda: 0), (), r"fn\.args\[0\] cannot cross"),
        (jobs.same, ({"k": [1, lambda: 0]},), r"args\[0\]\['k'\]\[1\] cannot cross"),
        (jobs.same, (sys.stdout,), r"args\[0\] cannot cross"),
        (jobs.same, (sys,), r"args\[0\] cannot cross .*module 'sys'"),
        (jobs.same, (memoryview(b"abcd")[::2],), "contiguous"),
    ],
    ids=["lambda", "local", "partial", "nested", "file", "module", "strided"],
)
async def test_what_cannot_cross_is_named(single, fn, args, message):
    with pytest.raises(runtime.CrossingError, match=message):
        await single.spawn_cpu_work(fn, *args)


async def test_a_result_that_cannot_cross_is_named(single):
    with pytest.raises(runtime.CrossingError, match="result cannot cross"):
        await single.spawn_cpu_work(jobs.unsendable)


async def test_batch_says_what_cannot_cross(single):
    with pytest.RaisesGroup(
        pytest.RaisesExc(runtime.CrossingError, match=r"items\[1\] cannot cross")
    ):
        await single.spawn_parallel_batch([1, lambda: 0], jobs.same)
    with pytest.RaisesGroup(pytest.RaisesExc(runtime.CrossingError, match="fn cannot")):
        await single.spawn_parallel_batch([1], lambda x: x)
    join = functools.partial(str.join, lambda: 0)
    with pytest.RaisesGroup(
        pytest.RaisesExc(runtime.CrossingError, match=r"^fn\.args\[0\] cannot cross")
    ):
        await single.spawn_parallel_batch([1], join)


@pytest.mark.parametrize("on_error", ["raise", "return"])
async def test_map_says_what_cannot_cross(single, on_error):
    with pytest.RaisesGroup(
        pytest.RaisesExc(runtime.CrossingError, match="^fn cannot cross .*<lambda>")
    ):
        async with single.map(lambda x: x, range(1), on_error=on_error) as results:
            await anext(results)
    with pytest.RaisesGroup(
        pytest.RaisesExc(runtime.CrossingError, match="^item cannot cross .*<lambda>")
    ):
        async with single.map(jobs.same, [lambda: 0]) as results:
            await anext(results)


async def test_chunked_batch_names_the_function_that_cannot_cross(single):
    with pytest.RaisesGroup(
        pytest.RaisesExc(runtime.CrossingError, match="^fn cannot cross .*<lambda>")
    ):
        await single.spawn_chunked_parallel(
            [1], 1, lambda chunk: chunk, takes_chunk=True
        )


async def test_chunked_batch_names_the_item_that_cannot_cross(single):
    with pytest.RaisesGroup(
        pytest.RaisesExc(
            runtime.CrossingError, match=r"^items\[3\] cannot cross .*<lambda>"
        )
    ):
        await single.spawn_chunked_parallel([0, 1, 2, lambda: 3, 4], 2, jobs.same)


# Where an item's error is its result

ODD = [0, lambda: 1, 2, lambda: 3, 4]


async def outcomes_of_batch(pool, fn, items):
    return await pool.spawn_parallel_batch(items, fn, on_error="return")


async def outcomes_of_chunks(pool, fn, items):
    return await pool.spawn_chunked_parallel(items, 2, fn, on_error="return")


async def outcomes_of_map(pool, fn, items):
    async with pool.map(fn, items, on_error="return") as results:
        return [result async for result in results]


@pytest.fixture(
    params=[outcomes_of_batch, outcomes_of_chunks, outcomes_of_map],
    ids=["batch", "chunks", "map"],
)
def outcomes_of(request):
    return request.param


def check_odd_failed(outcomes, match):
    assert outcomes[::2] == [outcome.Value(0), outcome.Value(2), outcome.Value(4)]
    for each in outcomes[1::2]:
        with pytest.raises(runtime.CrossingError, match=match):
            each.unwrap()


async def test_an_item_that_cannot_cross_harms_no_other(pool, outcomes_of):
    outcomes = await outcomes_of(pool, jobs.same, ODD)
    check_odd_failed(outcomes, r"^item(s\[[13]\])? cannot cross .*<lambda>")


async def test_a_result_that_cannot_cross_harms_no_other(pool, outcomes_of):
    outcomes = await outcomes_of(pool, jobs.unsendable_if_odd, range(5))
    check_odd_failed(outcomes, r"^result cannot cross .*<lambda>")


def test_an_outcome_crosses_as_it_is():
    made = [outcome.Value([1]), outcome.Value(None), outcome.Error(ValueError("no"))]
    value, nothing, error = loads(*dumps(made))
    assert value == made[0]
    assert nothing == made[1]
    assert repr(error) == repr(made[2])
    assert value.unwrap() == [1]
    (unwrapped,) = loads(*dumps([value]))
    with pytest.raises(outcome.AlreadyUsedError):
        unwrapped.unwrap()


async def test_an_object_that_answers_nothing_harms_no_other(single, outcomes_of):
    hostile = {jobs.Hostile(): jobs.Hostile()}
    for fn, items in ((jobs.same, [0, hostile, 0]), (jobs.hostile, range(2))):
        outcomes = await outcomes_of(single, fn, items)
        assert outcomes[0] == outcome.Value(0)
        assert type(outcomes[1].error) is runtime.CrossingError


async def test_many_that_cannot_cross_are_all_named(single, outcomes_of):
    outcomes = await outcomes_of(single, jobs.same, [[lambda: 0]] * 40)
    for each in outcomes:
        with pytest.raises(runtime.CrossingError, match=r"^item.* cannot cross .*0x"):
            each.unwrap()


async def test_what_could_not_cross_is_let_go_of(single, outcomes_of):
    """At once, and not when the garbage of an idle interpreter is collected."""
    things, number = [jobs.Thing() for _ in range(3)], bytearray(1)
    references = [weakref.ref(thing) for thing in things]
    items = [[things.pop(), memoryview(number), lambda: 0] for _ in references]
    await single.spawn_cpu_work(gc.disable)
    gc.disable()
    try:
        await outcomes_of(single, jobs.same, items)
        outcomes = await outcomes_of(single, jobs.keep_unsendable, [1, 2])
        assert [type(each.error) for each in outcomes] == [runtime.CrossingError] * 2
        del items, outcomes
        assert [reference() for reference in references] == [None] * 3
        assert await single.spawn_cpu_work(jobs.count_things) == 0
        number.append(1)
    finally:
        gc.enable()


async def test_a_result_that_cannot_cross_beside_errors_harms_no_other(
    single, outcomes_of
):
    """Their own errors come, too."""
    outcomes = await outcomes_of(single, jobs.unsendable_or_fail, range(300))
    errors = [type(each.error) for each in outcomes]
    assert errors == [runtime.CrossingError, ZeroDivisionError, KeyError] * 100


@pytest.mark.usefixtures("fresh_interpreters")
async def test_an_item_that_cannot_cross_is_not_called_for(single, outcomes_of):
    items = [lambda: 0, 1] * 20
    outcomes = await outcomes_of(single, functools.partial(jobs.fail_on, 1), items)
    errors = [type(each.error) for each in outcomes]
    assert errors == [runtime.CrossingError, ValueError] * 20
    assert await single.spawn_cpu_work(jobs.take_count) == 20


async def test_an_error_that_cannot_be_rebuilt_is_shown(single):
    with pytest.raises(runtime.TaskFailed, match="Unpicklable: hidden") as caught:
        await single.spawn_cpu_work(jobs.raise_unpicklable)
    assert "in raise_unpicklable" in str(caught.value)


async def test_an_error_whose_arguments_are_not_its_args(single):
    with pytest.raises(jobs.Failed, match=r"^ink failed with 7$") as caught:
        await single.spawn_cpu_work(jobs.fail_with, "ink", 7)
    assert (caught.value.name, caught.value.code) == ("ink", 7)


def test_an_error_keeps_what_it_has():
    error = KeyError("a", 1)
    error.add_note("beside")
    again = rebuild(*describe(error))
    assert (type(again), again.args, again.__notes__) == (
        KeyError,
        ("a", 1),
        ["beside"],
    )


def test_an_error_that_was_not_raised_has_no_traceback_to_show():
    assert rebuild(*describe(KeyError("a"))).__cause__ is None
    made = KeyError("a")
    made.__cause__ = ValueError("the reason")
    assert "the reason" in str(rebuild(*describe(made)).__cause__)
    noted = KeyError("a")
    noted.add_note("beside")
    assert "beside" in str(rebuild(*describe(noted)).__cause__)


async def test_a_worker_local_stays_where_it_is(single):
    with pytest.raises(runtime.CrossingError, match="top level of a module"):
        await single.spawn_cpu_work(jobs.same, runtime.worker_local(list))


@pytest.mark.usefixtures("fresh_interpreters")
async def test_variables_of_trio_and_of_its_tests_stay_at_home(single):
    """pytest-trio sets one around every test."""
    assert not await single.spawn_cpu_work(jobs.is_imported, "pytest_trio.plugin")
    assert not await single.spawn_cpu_work(jobs.is_imported, "trio")


async def test_what_needs_threads_says_what_to_do_instead(single):
    with pytest.raises(RuntimeError, match="initializer="):
        await single.spawn_cpu_work(data_parallel.broadcast)
    with pytest.raises(RuntimeError, match="and they run in place"):
        await single.spawn_cpu_work(data_parallel.open_sync_pool)


@pytest.mark.usefixtures("fresh_interpreters")
async def test_data_parallel_code_imports_no_trio_and_nothing_before_its_first_use(
    single,
):
    assert not await single.spawn_cpu_work(jobs.is_imported, "runtime._core")
    assert await single.spawn_cpu_work(data_parallel.fib, 5) == 5
    assert not await single.spawn_cpu_work(jobs.is_imported, "runtime._iter.par")
    assert await single.spawn_cpu_work(data_parallel.scope_of_tree, 2) == 7
    assert await single.spawn_cpu_work(data_parallel.chain_sum, 5) == 10
    assert await single.spawn_cpu_work(jobs.is_imported, "runtime._iter.par")
    for module in ("trio", "runtime._frontend"):
        assert not await single.spawn_cpu_work(jobs.is_imported, module)


async def test_many_jobs_leave_nothing(single):
    await single.spawn_parallel_batch(range(100), jobs.square)  # what opens for good
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        await single.spawn_parallel_batch(range(100), jobs.square)
        for i in range(200):
            await single.spawn_cpu_work(jobs.add, i)
    registry = single._intake.backend
    assert (registry._out, registry._handles, registry._queues.drain()) == ({}, {}, [])
    assert len(os.listdir("/proc/self/fd")) == before


async def test_a_look_takes_the_news_before_the_pump_does(single):
    registry = single._intake.backend
    await single.spawn_cpu_work(jobs.add, 1)  # else the news may be that it is there
    job = single.submit_nowait(jobs.add, 1, 2)
    select.select([registry.fileno()], [], [], TIMEOUT)
    assert job.state is runtime.JobState.RUNNING  # done, and not at home yet
    single._intake.pump.look()
    assert job.state is runtime.JobState.DONE
    assert await job.wait() == 3


async def test_a_broken_interpreter_is_reported_and_replaced(single):
    before = await single.spawn_cpu_work(jobs.interpreter_id)
    with pytest.raises(runtime.BrokenWorkerError, match="worker 0"):
        await single.spawn_cpu_work(jobs.end_interpreter)
    assert await single.spawn_cpu_work(jobs.interpreter_id) != before


async def test_a_worker_gets_a_fresh_interpreter_after_so_many_jobs():
    async with runtime.open_worker_pool(
        1, backend="interpreters", max_jobs_per_worker=2
    ) as pool:
        found = [await pool.spawn_cpu_work(jobs.interpreter_id) for _ in range(6)]
        assert found == [found[i // 2 * 2] for i in range(6)]
        assert len(set(found)) == 3
        squares = await pool.spawn_parallel_batch(range(100), jobs.square)
        assert squares == [i * i for i in range(100)]
        assert pool.statistics().jobs_completed == 7


EXITS = [
    (jobs.RaisesWhenTaken, sys.exit),
    (jobs.RaisesWhenSent, sys.exit),
    (jobs.identity, jobs.RaisesWhenTaken(sys.exit)),
    (jobs.identity, jobs.RaisesWhenSent(sys.exit)),
]


@pytest.mark.parametrize(("job", "argument"), EXITS)
async def test_a_pickle_that_exits_is_its_callers_error_only(single, job, argument):
    with pytest.raises(SystemExit):
        await single.spawn_cpu_work(job, argument)
    with pytest.RaisesGroup(SystemExit):
        await single.spawn_parallel_batch([argument], job)
    with pytest.RaisesGroup(SystemExit):
        async with single.map(job, [argument]) as results:
            async for _ in results:
                pass
    assert await single.spawn_cpu_work(jobs.add, 1, 1) == 2


async def test_a_pickle_that_exits_leaves_the_others_their_news(single):
    first = await single.submit(jobs.RaisesWhenTaken, sys.exit)
    second = await single.submit(jobs.add, 1, 1)
    with pytest.raises(SystemExit):
        await first.wait()
    assert await second.wait() == 2


@pytest.mark.parametrize(("job", "argument"), EXITS)
async def test_a_pickle_that_exits_is_its_requests_outcome(single, job, argument):
    async with runtime.ParallelProcessor(job, pool=single) as processor:
        (answer,) = await processor.execute_parallel_batch([argument])
        assert type(answer.error) is SystemExit
    assert await single.spawn_cpu_work(jobs.add, 1, 1) == 2


async def test_a_worker_that_breaks_now_and_then_goes_on(single):
    for _ in range(5):  # more often than a worker may in a row
        assert await single.spawn_cpu_work(jobs.add, 1, 1) == 2
        with pytest.raises(runtime.BrokenWorkerError, match="worker 0"):
            await single.spawn_cpu_work(jobs.end_interpreter)
    assert await single.spawn_cpu_work(jobs.add, 1, 1) == 2


async def test_a_worker_that_breaks_in_every_job_takes_the_pool_down():
    with pytest.raises(runtime.BrokenWorkerError, match="several times"):
        async with runtime.open_worker_pool(1, backend="interpreters") as pool:
            for _ in range(3):
                with pytest.raises(runtime.BrokenWorkerError):
                    await pool.spawn_cpu_work(jobs.end_interpreter)
            await trio.sleep_forever()


@pytest.fixture
def restored_limits():
    before = jobs.limits()
    yield
    sys.setrecursionlimit(before[0])
    sys.set_int_max_str_digits(before[1])


async def test_a_worker_has_the_limits_of_the_program(restored_limits):
    sys.setrecursionlimit(4321)
    sys.set_int_max_str_digits(12345)
    async with runtime.open_worker_pool(
        1, backend="interpreters", max_jobs_per_worker=1
    ) as pool:
        for _ in range(2):
            assert await pool.spawn_cpu_work(jobs.limits) == (4321, 12345)
        assert await pool.spawn_cpu_work(jobs.depth, 3000) == 3000
        assert await pool.spawn_cpu_work(jobs.digits, 10000) == 10001


async def test_a_limit_that_is_too_low_for_a_worker_harms_nothing(restored_limits):
    setup = setup_of((), None, ())
    recursion_limit, *_ = jobs.limits()
    limits = loads(setup)[1]
    assert limits[0] == recursion_limit
    set_limits((1, 5000))
    assert jobs.limits() == (recursion_limit, 5000)


async def test_misuse_max_jobs_of_threads():
    with pytest.raises(ValueError, match="max_jobs_per_worker needs"):
        async with runtime.open_worker_pool(
            1, backend="threads", max_jobs_per_worker=1
        ):
            pass


async def test_a_worker_that_never_starts_takes_the_pool_down():
    with pytest.raises(runtime.BrokenWorkerError, match="not today") as info:
        async with runtime.open_worker_pool(
            1, backend="interpreters", initializer=jobs.fail_to_start
        ) as pool:
            await pool.spawn_cpu_work(jobs.add, 1, 1)
    assert "in fail_to_start" in str(info.value)  # where it failed


@pytest.mark.parametrize(
    ("initializer", "argument", "named"),
    [(lambda _: 1, 1, "initializer"), (print, lambda: 1, r"initargs\[0\]")],
)
async def test_an_initializer_that_cannot_cross_is_named(initializer, argument, named):
    with pytest.raises(runtime.CrossingError, match=f"^{named} cannot cross"):
        async with runtime.open_worker_pool(
            1, backend="interpreters", initializer=initializer, initargs=(argument,)
        ):
            pass


async def test_a_module_that_no_worker_can_load_comes_with_the_way_out():
    way_out = re.escape(way_out_of_module("faulthandler"))
    with pytest.raises(runtime.BrokenWorkerError, match=way_out):
        async with runtime.open_worker_pool(
            1, backend="interpreters", preload=["faulthandler"]
        ):
            await trio.sleep_forever()


SCRIPT = """
import trio, runtime

def double(x):
    return Box(2 * x)

class Box:
    def __init__(self, value):
        self.value = value

async def main():
    async with runtime.open_worker_pool(1, backend="interpreters") as pool:
        box = await pool.spawn_cpu_work(double, 21)
        assert type(box) is Box
        print(box.value)

if __name__ == "__main__":
    trio.run(main)
else:
    assert __name__ == "__mp_main__"
"""


@pytest.mark.slow
def test_a_module_that_refuses_is_named_however_it_is_said(tmp_path):
    (tmp_path / "wrapped.py").write_text(
        "try:\n    import faulthandler\nexcept ImportError as error:\n"
        "    raise ImportError('please read this') from error\n"
    )
    script = f"import wrapped\n{SCRIPT}"
    (tmp_path / "script.py").write_text(script)
    done = subprocess.run(
        [sys.executable, "script.py"],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=tmp_path,
    )
    assert "CrossingError: module 'faulthandler' cannot be imported" in done.stderr
    assert "put the function into a module that does not import it" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [["script.py"], ["-m", "script"], ["folder"], ["-m", "folder"], ["archive.zip"]],
    ids=" ".join,
)
def test_functions_of_the_script_run(arguments, tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "__main__.py").write_text(SCRIPT)
    with zipfile.ZipFile(tmp_path / "archive.zip", "w") as archive:
        archive.writestr("__main__.py", SCRIPT)
    done = subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=tmp_path,
    )
    assert done.stdout == "42\n", done.stderr


class NoMemory:
    """Queues that take no job."""

    def __init__(self, queues):
        self.queues = queues

    def inject(self, *_):
        raise MemoryError

    def __getattr__(self, name):
        return getattr(self.queues, name)


async def test_no_memory_for_a_job_is_its_outcome(single, monkeypatch):
    """Else it was counted, and the block waited for it."""
    registry = single._intake.backend
    with monkeypatch.context() as patch:
        patch.setattr(registry, "_queues", NoMemory(registry._queues))
        with trio.fail_after(TIMEOUT), pytest.raises(MemoryError):
            await single.spawn_cpu_work(jobs.add, 1, 1)
    assert await single.spawn_cpu_work(jobs.add, 1, 1) == 2


async def submit_from_interrupted(pool):
    pool.submit_nowait(jobs.same, jobs.RaisesWhenSent(jobs.press_ctrl_c))


async def map_interrupted(pool):
    items = [jobs.RaisesWhenSent(jobs.press_ctrl_c)]
    async with pool.map(jobs.same, items) as results:
        async for _ in results:
            pass


async def take_interrupted(pool):
    jobs_out = [pool.submit_nowait(jobs.RaisesWhenTaken, jobs.press_ctrl_c)]
    jobs_out += [pool.submit_nowait(jobs.add, 1, 1) for _ in range(10)]
    for job in jobs_out:
        await job.wait()


@pytest.mark.parametrize(
    "use", [submit_from_interrupted, map_interrupted, take_interrupted]
)
def test_ctrl_c_comes_when_a_job_is_sent_or_taken_and_loses_none(use):
    """Else the block waited for one that nobody knows of any more."""

    async def main():
        async with runtime.open_worker_pool(1, backend="interpreters") as pool:
            await pool.spawn_cpu_work(jobs.add, 1, 1)
            await use(pool)
            await trio.sleep_forever()

    with pytest.raises((KeyboardInterrupt, BaseExceptionGroup)) as caught:
        trio.run(main)
    error = caught.value
    while isinstance(error, BaseExceptionGroup):
        (error,) = error.exceptions
    assert isinstance(error, KeyboardInterrupt)


@pytest.mark.slow
def test_functions_of_a_script_from_standard_input_are_said_to_be_lost(tmp_path):
    done = subprocess.run(
        [sys.executable],
        input=SCRIPT,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=tmp_path,
    )
    assert "CrossingError: a worker's interpreter did not find" in done.stderr
    assert "or read from standard input" in done.stderr
