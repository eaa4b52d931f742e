"""Jobs that any worker can import, whatever interpreter it runs in."""

import contextvars
import random
import signal
import sys
import threading
import time
import types
import weakref
from functools import partial

import runtime

REQUEST = contextvars.ContextVar("REQUEST", default="none")
OBJECT = contextvars.ContextVar("OBJECT", default=None)
counter = 0


def add(a, b=0):
    return a + b


def square(x):
    return x * x


def double(x):
    return 2 * x


def same(x):
    return x


def divide(a, b):
    return a / b


async def async_double(x):
    return 2 * x


def note_thread_and_add(calls, a, b):
    calls.append(threading.get_ident())
    return a + b


def in_turn(*steps):
    """Call one after the other; return what the last returned."""
    for step in steps:
        result = step()
    return result


def fail(message):
    raise ValueError(message)


def fail_on(bad, x):
    global counter
    counter += 1
    if x == bad:
        raise ValueError(x)
    return x


def fail_at_3(x):
    return fail_on(3, x)


def take_count():
    """Return how many items `fail_on` has seen here."""
    global counter
    count, counter = counter, 0
    return count


def odd_fails(x):
    if x % 2:
        raise ValueError(x)
    return x


def raise_error(error):
    raise error


def raise_closed_without_trio(name):
    """Inside an interpreter nothing of ours imports Trio."""
    assert "trio" not in sys.modules or interpreter_id() == 0
    raise runtime.PoolClosedError(name)


def give(result, _item):
    return result


def meet(gates, index):
    """Wait until the item at the other gate runs, too; return the index."""
    mine, other = gates[index], gates[not index]
    mine.enter()
    other.block_until_entered()
    return index


def meet_and_fail(gates, index):
    meet(gates, index)
    raise ValueError(index)


def hold_and_note(gate, calls):
    gate.hold()
    calls.append(True)


def hold_and_fail(gate, message):
    gate.hold()
    raise ValueError(message)


def note_and_hold(calls, gate, item):
    calls.append(item)
    return gate.hold(item)


def hold_if_slow(gate, item):
    return gate.hold(item) if item == "slow" else item


def hold_and_fail_if_bad(gate, item):
    if item == "bad":
        gate.hold()
        raise ValueError(item)


def hold_until_cancelled(gate):
    gate.hold_while(runtime.check_cancelled)


def hold_item_until_cancelled(gate, _item):
    hold_until_cancelled(gate)


def note_and_hold_until_told(calls, gate, hold_at, item):
    """Note the item; one of them waits until it is told to stop, and returns."""
    calls.append(item)
    if item == hold_at:
        try:
            gate.hold_while(runtime.check_cancelled)
        except runtime.JobCancelled:
            pass
    return item


def limits():
    """Return what a program may have set for its interpreter."""
    return sys.getrecursionlimit(), sys.get_int_max_str_digits()


def depth(n):
    return 0 if n == 0 else 1 + depth(n - 1)


def digits(n):
    return len(str(10**n))


def imports(name):
    """Import a module, in an interpreter that may refuse it."""
    __import__(name)


def note_all(note, items):
    return [note(item) for item in items]


def fail_from(gate, first, note, item):
    """From some item on fail, once the gate was entered."""
    if item >= first:
        gate.block_until_entered()
        raise ValueError(item)
    return note(item)


def hold_first_and_note(gate, calls, item):
    if item == 0:
        gate.hold()
    calls.append(item)


def fail_or_hold(gate, item):
    """Item 0 goes on until it is cancelled, item 1 fails once that runs."""
    if item == 0:
        hold_until_cancelled(gate)
    gate.block_until_entered()
    raise ValueError(item)


def double_all(lengths, chunk):
    """Note how long a chunk is, and double what is in it."""
    assert type(chunk) is list
    lengths.append(len(chunk))
    return map(double, chunk)


class Unpicklable(Exception):
    def __reduce__(self):
        raise TypeError("not me")


class Failed(Exception):
    def __init__(self, name, code):
        super().__init__(f"{name} failed with {code}")
        self.name = name
        self.code = code


class HidesItsTraceback(Exception):
    @property
    def __traceback__(self):
        raise RuntimeError("nobody's business")


class LiarError(Exception):
    @property
    def __class__(self):
        raise ZeroDivisionError


def lie():
    raise LiarError


def hide_traceback():
    raise HidesItsTraceback


class Evil(Exception):
    def __str__(self):
        raise RuntimeError("no text")


def raise_odd(kind):
    if kind == "evil":
        raise Evil
    if kind == "surrogate":
        raise ValueError("\ud800")
    if kind == "nul":
        raise ValueError("a\0b")
    if kind == "recursion":
        return raise_odd(kind)
    raise {"exit": SystemExit, "interrupt": KeyboardInterrupt, "memory": MemoryError}[
        kind
    ]


def fail_with(name, code):
    raise Failed(name, code)


def raise_unpicklable():
    raise Unpicklable("hidden")


def give_group(_item=None):
    return ExceptionGroup(
        "mixed", [KeyError("k"), Unpicklable("hidden"), ValueError(1)]
    )


def raise_group(_item=None):
    raise give_group()


def chunk_squares(chunk):
    return [x * x for x in chunk]


def too_few(chunk):
    return chunk[1:]


def read_request(_item=None):
    return REQUEST.get()


def read_and_change_request():
    seen = REQUEST.get()
    REQUEST.set("changed in the job")
    return seen


def has_no_async_library():
    import sniffio

    try:
        sniffio.current_async_library()
    except sniffio.AsyncLibraryNotFoundError:
        return True


def set_request(value):
    REQUEST.set(value)


def swap_request(item):
    """Return what the caller has set, and set something else."""
    seen = REQUEST.get()
    REQUEST.set(f"of {item}")
    return seen


def swap_precision(item):
    """Compute with the caller's precision, then with another; return both results."""
    import decimal

    third = str(decimal.Decimal(1) / 3)
    decimal.getcontext().prec = 30 + item
    return third, str(decimal.Decimal(1) / 3)


def swap_precision_in_forks(item):
    """Have forked calls change the precision; return with which one this goes on."""
    runtime.join(partial(same, item), partial(swap_precision, item))
    with runtime.scope() as scope:
        scope.spawn(swap_precision, item)
    return swap_precision(item)


def ask_twice_with_precision(precision):
    """Have Trio compute with a precision, change it there, and compute again."""
    import decimal

    decimal.getcontext().prec = precision
    return [
        runtime.from_worker.run_sync(swap_precision, 1)[0],
        runtime.from_worker.run_sync(swap_precision, 1)[0],
    ]


def set_variables(request, precision):
    import decimal

    REQUEST.set(request)
    decimal.getcontext().prec = precision


def async_library(_item=None):
    """Return the async library that runs here, by sniffio; None if none does."""
    import sniffio

    try:
        return sniffio.current_async_library()
    except sniffio.AsyncLibraryNotFoundError:
        return None


def async_libraries_in_trio(_item=None):
    """Return which library runs in Trio for a job, and what its variable says."""
    return runtime.from_worker.run_sync(async_libraries_here)


def async_libraries_here():
    import sniffio

    return async_library(), sniffio.current_async_library_cvar.get()


def each(fn, chunk):
    """Call the function for each item of a chunk."""
    return [fn(item) for item in chunk]


def bump():
    global counter
    counter += 1
    return counter


def set_counter(value):
    global counter
    counter = value


def is_imported(module):
    return module in sys.modules


def interpreter_id():
    import _interpreters

    return int(_interpreters.get_current()[0])


def cancel_at_500(x):
    if x == 500:
        raise runtime.JobCancelled
    return x


def cancel_at_home(a, b):
    """Add in an interpreter; what puts together its totals at home asks to end."""
    if interpreter_id() == 0:
        raise runtime.JobCancelled
    return a + b


def cancel_myself(_item=None):
    raise runtime.JobCancelled


async def nothing():
    pass


def make_async_generator(*_ignored):
    async def unawaited():
        yield

    return unawaited()


def make_coroutine(*_ignored):
    return nothing()


class Failure(Exception):
    """What a job of tests/frontend/test_ladder.py fails with."""


def play_held(begun, gate, ending, index):
    """Begin, wait for the end, and look for a cancellation if so told."""
    begun.append(index)
    while not gate.passes(0.001):
        if ending == "look":
            runtime.check_cancelled()
    if ending == "fail":
        raise Failure(index)
    if ending == "stop":
        raise runtime.JobCancelled
    return index


class Thing:
    """Something a weak reference can watch."""


class Accumulator:
    def __init__(self, start):
        self.total = start

    def plus(self, x):
        return self.total + x


def fill(view, value):
    for i in range(len(view)):
        view[i] = value
    return len(view)


def describe_view(view):
    return view.format, view.shape, view.readonly, view.nbytes


def keep_view(view):
    global counter
    counter = view


def read_kept():
    return bytes(counter)


notes = []


def note(what):
    notes.append(what)


def take_notes():
    taken = notes.copy()
    notes.clear()
    return taken


def unsendable():
    return lambda: 0


def unsendable_if_odd(x):
    return unsendable() if x % 2 else x


alive_things = weakref.WeakSet()


def keep_unsendable(x):
    """Return what cannot cross and is counted while it lives."""
    thing = Thing()
    alive_things.add(thing)
    return thing, unsendable()


def count_things():
    return len(alive_things)


class Hostile:
    """Cannot cross, and fails whatever else it is asked."""

    __slots__ = ()

    def __getattr__(self, name):
        raise RuntimeError(name)

    def __repr__(self):
        raise RuntimeError

    def __call__(self):
        pass

    def __reduce__(self):
        raise Unprintable


class Unprintable(Exception):
    def __str__(self):
        raise RuntimeError


def hostile(x):
    return {Hostile(): Hostile()} if x else x


def unsendable_or_fail(x):
    """Fail for two numbers of three, in two ways."""
    if x % 3 == 0:
        return unsendable()
    raise ZeroDivisionError if x % 3 == 1 else KeyError


def import_numpy(array):
    return array


def end_interpreter():
    """Do to the worker's loop what only a bug or a lack of memory does."""

    child = sys.modules["runtime._backends.child"]
    child._encode = None
    child._error_answer = None


def fail_to_start():
    raise RuntimeError("not today")


def hold_out(gate):
    """Go on until the gate opens, whatever is asked."""
    gate.hold()


def cancel_chunk(chunk):
    raise runtime.JobCancelled


def raise_timeout():
    raise runtime.TaskCancelled("x", runtime.CancelReason.TIMEOUT)


COMMON = [
    "_datetime",
    "_zoneinfo",
    "abc",
    "argparse",
    "array",
    "ast",
    "asyncio",
    "base64",
    "bisect",
    "bz2",
    "calendar",
    "collections",
    "concurrent.futures",
    "configparser",
    "contextlib",
    "copy",
    "csv",
    "dataclasses",
    "datetime",
    "decimal",
    "difflib",
    "email.message",
    "enum",
    "fractions",
    "functools",
    "glob",
    "gzip",
    "hashlib",
    "heapq",
    "html",
    "http.client",
    "inspect",
    "io",
    "itertools",
    "json",
    "logging",
    "lzma",
    "math",
    "mimetypes",
    "numbers",
    "operator",
    "os",
    "pathlib",
    "pickle",
    "platform",
    "pprint",
    "queue",
    "random",
    "re",
    "secrets",
    "select",
    "shutil",
    "signal",
    "socket",
    "sqlite3",
    "ssl",
    "statistics",
    "string",
    "struct",
    "subprocess",
    "tempfile",
    "textwrap",
    "threading",
    "time",
    "timeit",
    "tomllib",
    "traceback",
    "types",
    "typing",
    "unicodedata",
    "urllib.request",
    "uuid",
    "weakref",
    "xml.etree.ElementTree",
    "zipfile",
    "zlib",
    "zoneinfo",
]


def import_all(names):
    import importlib

    for name in names:
        try:
            importlib.import_module(name)
        except ImportError:  # an installation without it
            pass
    return len(names)


def is_even(x):
    return x % 2 == 0


def is_large(x):
    return x > 5000


def use_scratch(scratch, x):
    scratch.append(x)
    return scratch.pop()


def failing_source():
    yield 1
    raise OSError("source")


def loop(gate, calls, *_ignored):
    """Go on for ever without asking; note what ends it."""
    try:
        gate.enter()
        while True:
            pass
    except BaseException as error:
        calls.append(type(error).__name__)
        raise


def note_and_loop(calls, item):
    calls.append(item)
    while True:
        pass


def loop_until_open(gate, *_ignored):
    gate.enter()
    while not gate.passes():
        pass
    return "ended by itself"


def ask_for_ever(gate, calls):
    """Go on until it is cancelled; note what ends it."""
    gate.enter()
    try:
        while True:
            runtime.check_cancelled()
    except BaseException as error:
        calls.append(type(error).__name__)
        raise


def stubborn(gate, calls):
    try:
        loop(gate, calls)
    except runtime.JobInterrupted:
        return "my answer"


def survive(gate, calls, goes_on):
    """Survive an interrupt and go on."""
    stubborn(gate, calls)
    goes_on.hold()


def shielded(gate, calls):
    """Note the end of a section that is waited in, and what comes after it."""
    with runtime.uninterruptible():
        gate.hold()
        calls.append("section")
    calls.append("rest")


class DecodedAt:
    """An argument whose decoding waits at a gate."""

    def __init__(self, gate):
        self.gate = gate

    def __reduce__(self):
        return self.gate.hold, ()


class ListenedTo:
    """A worker's end of the queues; says when an alarm was heard and dealt with."""

    def __init__(self, worker, gate):
        self.worker, self.gate = worker, gate
        self.is_in_place, self.has_heard = threading.Event(), False

    def wait_alarm(self):
        self.is_in_place.set()
        if self.has_heard:
            self.gate.enter()
        self.worker.wait_alarm()
        self.has_heard = True

    def __getattr__(self, name):
        return getattr(self.worker, name)


def watch_the_watch(gate):
    """Have the watch of this interpreter enter the gate after each alarm."""
    watch = sys.modules["runtime._backends.interrupting"]._watch
    watch._worker = ListenedTo(watch._worker, gate)
    watch._worker.ring_alarm()
    assert watch._worker.is_in_place.wait(30)


kept = None


def keep_job():
    """Keep the worker's end of the queues, and this job."""
    global kept
    crew = sys.modules["runtime._backends.crew"]
    kept = crew.runner_of_job("", "").crew.worker, crew.current_job()


def show_late(stack):
    """Send home a stack of the job that was kept; return the reply."""
    worker, job = kept
    return worker.ask(job, sys.modules["runtime._backends.stacks"].encode_stack(stack))


def finish(calls):
    """Run Python code in a finalizer after the call has returned."""

    class Noisy:
        def __del__(self):
            for _ in range(100):
                pass
            calls.append("ended")

    return Holder(Noisy())


class Holder:
    """Crosses, and what it holds does not."""

    def __init__(self, held):
        self.held = held

    def __reduce__(self):
        return int, (7,)


def identity(value):
    return value


def put(queue, value):
    queue.put(value)


def get(queue):
    return queue.get(timeout=10)


def id_of(handle):
    return handle.id


# What jobs ask for. It runs at home, and only there is Trio imported.

# What is kept at home: pools and jobs that may be used, events, notes.
home = types.SimpleNamespace(pool=None, job=None, event=None, notes=[])


async def double_at_home(x):
    import trio

    await trio.lowlevel.checkpoint()
    return 2 * x


async def fail_at_home(message):
    raise ValueError(message)


async def square_elsewhere(x):
    return await home.pool.spawn_cpu_work(square, x)


async def double_elsewhere(x):
    return await home.pool.spawn_cpu_work(ask, double_at_home, x)


async def call_elsewhere(fn, *args):
    return await home.pool.spawn_cpu_work(fn, *args)


async def wait_for_job():
    return await home.job.wait()


async def note_task(what=None):
    import trio

    home.notes.append(trio.lowlevel.current_task())
    return what


def note_at_home(what):
    home.notes.append(what)


async def meet_at_home(count, what):
    """Wait until that many are here."""
    home.notes.append(what)
    if len(home.notes) == count:
        home.event.set()
    await home.event.wait()
    return what


async def sleep_at_home():
    import trio

    home.event.set()
    try:
        await trio.sleep_forever()
    except trio.Cancelled:
        home.notes.append("in Trio")
        raise


async def sleep_in_two_tasks():
    import trio

    async with trio.open_nursery() as nursery:
        nursery.start_soon(sleep_at_home)
        nursery.start_soon(trio.sleep_forever)


async def wait_at_home(gate):
    """Wait until the gate opens, unless that is cancelled."""
    import trio

    home.event.set()
    try:
        await trio.to_thread.run_sync(gate.passes, 30.0, abandon_on_cancel=True)
    except trio.Cancelled:
        home.notes.append("in Trio")
        raise


async def sleep_for_long():
    """Sleep, whoever is cancelled, until the event is set."""
    import trio

    home.notes.append("asleep")
    with trio.CancelScope(shield=True):
        await home.event.wait()


async def make_unsendable():
    return unsendable()


async def read_at_home():
    """Return what is seen, and set what must not be seen elsewhere."""
    seen = REQUEST.get(), OBJECT.get()
    REQUEST.set("set at home")
    return seen[0], seen[1] is home.pool


def ask(async_fn, *args):
    return runtime.from_worker.run(async_fn, *args)


def ask_sync(fn, *args):
    return runtime.from_worker.run_sync(fn, *args)


def ask_with_keywords(verb):
    getattr(runtime.from_worker, verb)(int, "11", base=2)


def ask_and_catch(async_fn, *args):
    """Return the error as text."""
    try:
        return runtime.from_worker.run(async_fn, *args)
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def ask_for_lambda():
    return runtime.from_worker.run(unsendable())


def ask_and_note(async_fn, calls):
    """Write down what ends the wait."""
    try:
        runtime.from_worker.run(async_fn)
    except BaseException as error:
        calls.append(type(error).__name__)
        raise


def ask_twice_and_look(gate, calls):
    """Ask for what waits and for more; write down what was let finish."""
    runtime.from_worker.run(wait_at_home, gate)
    calls.append("finished")
    calls.append(runtime.from_worker.run(double_at_home, 2))
    try:
        runtime.check_cancelled()
    except runtime.JobCancelled:
        calls.append("was told")
        raise


def ask_in_request(value):
    REQUEST.set(value)
    return runtime.from_worker.run(read_at_home), REQUEST.get()


def ask_in_thread():
    """Ask in a thread that the job has started."""
    import threading

    caught = []

    def body():
        try:
            runtime.from_worker.run(double_at_home, 1)
        except Exception as error:
            caught.append(str(error))

    thread = threading.Thread(target=body, daemon=False)
    thread.start()
    thread.join()
    return caught


def descend(depth):
    """Have as many jobs wait as it takes to be refused; return how many did."""
    try:
        return runtime.from_worker.run(call_elsewhere, descend, depth + 1)
    except runtime.DeadlockError:
        return depth


def block(gate):
    with runtime.blocking(), runtime.blocking():
        return gate.hold("passed")


def block_and_hold(waits, runs):
    block(waits)
    return runs.hold()


def begin_to_block():
    runtime.blocking().__enter__()
    runtime.blocking().__enter__()


def ask_and_hold(gate):
    runtime.from_worker.run(double_at_home, 1)
    return gate.hold()


lock = threading.Lock()


def wait_with_lock(x):
    """Hold a lock of the user's across a wait."""
    with lock:
        return runtime.from_worker.run(double_at_home, x)


def use_lock(x):
    with lock:
        return x


def ask_at_times(x):
    """Double a number, every third one at home."""
    if x % 3:
        with runtime.blocking():
            return 2 * x
    return runtime.from_worker.run(double_at_home, x)


def wander(seed, depth):
    """Wait and use the pool in some random way; return how many jobs that were."""
    order = random.Random(seed)
    count = 1
    for turn in range(order.randrange(4)):
        kind = order.randrange(5)
        if kind == 0:
            runtime.check_cancelled()
        elif kind == 1:
            with runtime.blocking():
                time.sleep(0)
        elif kind == 2:
            assert runtime.from_worker.run(double_at_home, turn) == 2 * turn
        elif kind == 3:
            assert ask_and_catch(fail_at_home, "no") == "ValueError: no"
        elif depth:
            count += runtime.from_worker.run(
                call_elsewhere, wander, order.random(), depth - 1
            )
    return count


def ask_late(gate, calls):
    gate.hold()
    ask_and_note(sleep_at_home, calls)


def loop_after(waits, goes_on, calls):
    """Wait, and then go on for ever."""
    block(waits)
    loop(goes_on, calls)


def end_crew():
    """Do to a thread that runs jobs what only a bug does."""
    import sys

    crew = sys.modules["runtime._backends.crew"]
    finish = crew.Runner.finish

    def broken(*_):
        crew.Runner.finish = finish
        raise RuntimeError("a bug")

    crew.Runner.finish = broken


class RaisesWhenSent:
    """Raises where it is encoded."""

    def __init__(self, make_trouble):
        self.make_trouble = make_trouble

    def __reduce__(self):
        self.make_trouble()
        return (int, ())


class RaisesWhenTaken:
    """Raises where it is decoded."""

    def __init__(self, make_trouble):
        self.make_trouble = make_trouble

    def __reduce__(self):
        return (self.make_trouble, ())


def press_ctrl_c():
    signal.raise_signal(signal.SIGINT)


def double_and_look(x):
    """Double a number, slowly enough to be met while it runs, and looking."""
    for _ in range(50):
        runtime.check_cancelled()
    return 2 * x


def fail_once_in_a_while(x):
    """Fail for one number in four."""
    if x % 4 == 3:
        raise ValueError(x)
    return double_and_look(x)


def chunk_doubled(chunk):
    return [2 * x for x in chunk]


# What a job can leave behind in its interpreter


def leave_thread(gate):
    """Start a thread that goes on, as libraries do; it can be joined."""
    threading.Thread(target=gate.hold, name="left", daemon=False).start()


def leave_bare_thread(gate):
    """Start a thread that nobody can join."""
    import _thread

    _thread.start_new_thread(gate.hold, ())


def leave_executor():
    """Leave an executor with an idle thread."""
    global counter
    from concurrent.futures import ThreadPoolExecutor

    counter = ThreadPoolExecutor(1)
    return counter.submit(int, 3).result()


def replace_streams():
    sys.stdin = sys.stdout = sys.stderr = None


def has_own_streams():
    pairs = [(sys.stdout, sys.__stdout__), (sys.stderr, sys.__stderr__)]
    return all(used is original for used, original in pairs)


def set_environment(name, value):
    import os

    os.environ[name] = value


def get_environment(name):
    import os

    return os.environ.get(name)


def fail_in_a_cycle():
    """Fail with an error that only a collection frees."""
    error = ValueError("round")
    error.itself = error
    raise error
