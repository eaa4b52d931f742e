"""Jobs that use join, scopes and chains, and that any worker can import."""

import contextvars
import itertools
import operator
import threading
from functools import partial

import jobs

import runtime

VARIABLE = contextvars.ContextVar("VARIABLE", default="unset")


mine = runtime.worker_local(list)


def note(item):
    """Return what was noted by this worker so far."""
    mine.get().append(item)
    assert mine.get() in mine.values()
    return mine.get()


def fib(n):
    if n < 2:
        return n
    a, b = runtime.join(fib, n - 1, fib, n - 2)
    return a + b


def merge_sort(items):
    if len(items) < 2:
        return items
    middle = len(items) // 2
    return merged(*runtime.join(merge_sort, items[:middle], merge_sort, items[middle:]))


def merged(left, right):
    return sorted(left + right)


def join(*halves):
    return runtime.join(*halves)


def join_changing_variables():
    """Return what the halves and their caller see, of which both change it."""
    VARIABLE.set("job")
    seen = runtime.join(change_variable, "first", change_variable, "second")
    return *seen, VARIABLE.get()


def change_variable(value):
    seen = VARIABLE.get()
    VARIABLE.set(value)
    return seen


def scope_of_tree(depth):
    done = []
    with runtime.scope() as scope:
        scope.spawn(spawn_tree, scope, depth, done)
    return len(done)


def spawn_tree(scope, depth, done):
    done.append(depth)
    if depth:
        scope.spawn(spawn_tree, scope, depth - 1, done)
        scope.spawn(spawn_tree, scope, depth - 1, done)


def scope_of(*functions):
    with runtime.scope() as scope:
        for fn in functions:
            scope.spawn(fn)


def scope_with_body(body, *functions):
    with runtime.scope() as scope:
        for fn in functions:
            scope.spawn(fn)
        body()


def scope_and_note(hold, note, calls):
    """Note in a call that begins after the other, and after the block."""
    with runtime.scope() as scope:
        scope.spawn(note)
        scope.spawn(hold)  # the newest first
    calls.append("after the block")


def scope_changing_variables():
    seen = []
    VARIABLE.set("job")
    with runtime.scope() as scope:
        scope.spawn(note_and_change, seen)
        VARIABLE.set("block")
    return *seen, VARIABLE.get()


def note_and_change(seen):
    seen.append(change_variable("call"))


def spawn_late():
    with runtime.scope() as scope:
        pass
    scope.spawn(int)


def spawn_in_thread(calls):
    """Spawn from another thread while the block is left."""
    with runtime.scope() as scope:
        thread = threading.Thread(
            target=scope.spawn, args=(calls.append, 1), daemon=False
        )
        thread.start()
        thread.join()


def tour(numbers):
    """Return what chains come to, and the same in plain Python."""
    chain = runtime.par_iter(numbers).map(jobs.square)
    squares = list(map(jobs.square, numbers))
    scratch = chain.map_init(list, jobs.use_scratch)
    return [
        (chain.sum(), sum(squares)),
        (chain.collect(), squares),
        (chain.filter(jobs.is_even).count(), sum(map(jobs.is_even, squares))),
        (chain.enumerate().max(), (len(squares) - 1, squares[-1])),
        (chain.zip(numbers).starmap(operator.sub).min(), 0),
        (chain.chunks(7).map(sum).reduce(operator.add), sum(squares)),
        (chain.chain("ab").skip(len(squares) - 1).collect(), [squares[-1], "a", "b"]),
        (scratch.sum(), sum(squares)),
        (chain.find_first(jobs.is_large), 71 * 71),
        (chain.progress("squares").count(), len(squares)),
    ]


def tour_over_iterators(count):
    numbers = range(count)
    chain = runtime.par_iter(iter(numbers)).map(lambda n: n + 1)
    endless = runtime.par_iter(itertools.count())
    return [
        (chain.collect(), [n + 1 for n in numbers]),
        (runtime.par_iter(iter(numbers)).zip("abc").count(), 3),
        (endless.find_first(jobs.is_large), 5001),
    ]


def chain_of_chains(count):
    return runtime.par_iter(range(count)).map(inner_chain).sum()


def inner_chain(count):
    low, high = runtime.join(chain_sum, count, chain_sum, count)
    return low + high


def chain_sum(count):
    return runtime.par_iter(range(count)).sum()


def fail_in_chain(bad, data):
    runtime.par_iter(data).for_each(partial(jobs.fail_on, bad))


def chain(fn, data):
    runtime.par_iter(data).for_each(fn)


def call_for_each(fn, _item):
    return fn()


def chain_over_squares(gate, count):
    """Work that never looks whether it should stop."""
    gate.enter()
    numbers = itertools.count() if count is None else range(count)
    return runtime.par_iter(numbers).map(jobs.square).sum()


def ask_in_chain(count):
    ask = partial(jobs.ask, jobs.double_at_home)
    return runtime.par_iter(range(count)).map(ask).sum()


def block_and_chain(waits, count):
    """Wait, and go on beside the next job of this worker."""
    jobs.block(waits)
    return chain_sum(count)


def chain_beside(gate, _other, count):
    gate.hold()
    return chain_sum(count)


def outside_of_a_job(verb):
    """Use it in a thread that the job has started; return the error."""
    caught = []

    def body():
        try:
            verb()
        except runtime.NotOnWorkerError as error:
            caught.append(str(error))

    thread = threading.Thread(target=body, daemon=False)
    thread.start()
    thread.join()
    return caught


def broadcast():
    return runtime.broadcast(int)


def open_sync_pool():
    with runtime.open_sync_pool():
        pass


def raise_from(kind, bad, item):
    """Raise an error from one item on."""
    if item >= bad:
        raise kind("the user's")
    return item


def numbers(count):
    return iter(range(count))


async def double_later(item):
    return 2 * item


def run_sync_of_async():
    return runtime.from_worker.run_sync(double_later, 1)


def note_and_hold(calls, gate, item):
    """Note that an item has begun; it ends when the gate is open."""
    calls.append(item)
    gate.hold()
