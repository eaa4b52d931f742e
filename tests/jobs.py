"""Jobs that any worker can import, whatever interpreter it runs in."""

import contextvars
import os
import select
import sys
import threading
import time

import runtime

REQUEST = contextvars.ContextVar("REQUEST", default="none")
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


def hold(entered, opened):
    """Say that it runs, and go on when the other end says so."""
    os.write(entered, b"x")
    ready, _, _ = select.select([opened], [], [], 10)
    assert ready, "nobody opened"
    return os.read(opened, 1)


def spin(entered):
    """Say that it runs, and go on until it is cancelled."""
    os.write(entered, b"x")
    while True:
        runtime.check_cancelled()
        time.sleep(0)


def spin_item(entered, item):
    if item == 0:
        spin(entered)
    return item


def fail_or_spin(entered, item):
    """Item 0 goes on until it is cancelled, item 1 fails once that runs."""
    if item == 0:
        spin(entered)
    raise ValueError(item)


def cancel_myself(_item=None):
    raise runtime.JobCancelled


async def nothing():
    pass


def make_coroutine():
    return nothing()


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


def import_numpy(array):
    return array


def end_interpreter():
    """Do to the worker's loop what only a bug or a lack of memory does."""

    child = sys.modules["runtime._backends.child"]
    child._encode = None
    child._error_answer = None


def fail_to_start():
    raise RuntimeError("not today")


def cancel_chunk(chunk):
    raise runtime.JobCancelled


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


def ask_trio():
    return runtime.from_worker.run(nothing)


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
    gate.enter()
    try:
        while True:
            pass
    except BaseException as error:
        calls.append(type(error).__name__)
        raise


def note_and_loop(calls, item):
    calls.append(item)
    while True:
        pass


def loop_until_open(gate):
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
