"""Handlers that another interpreter can import."""

import contextvars
import threading

import runtime

greeting = contextvars.ContextVar("greeting", default="nobody")


def double(request):
    return 2 * request


def double_all(requests):
    return [2 * request for request in requests]


def too_few(requests):
    return requests[1:]


def invert(request):
    """Fail for 0."""
    return 1 / request


def lock_for_odd(request):
    """Return what cannot cross, for odd numbers."""
    return threading.Lock() if request % 2 else request


def cancel_odd(request):
    """End itself as cancelled, for odd numbers."""
    if request % 2:
        raise runtime.JobCancelled
    return request


def greet(_request):
    """Return the caller's context variable."""
    return greeting.get()


def leave_at_zero(request):
    """Raise `SystemExit` for 0."""
    if request == 0:
        raise SystemExit
    return request


def hold(gate):
    return gate.hold()


def look(gate):
    """Run until the token is set."""
    gate.hold_while(runtime.check_cancelled)


def spin(gate):
    """Run for ever, without a look."""
    gate.enter()
    while True:
        pass


def act(request):
    """Do what a request says: hold at a gate, fail, end; else return it."""
    what, gate = request
    if "hold" in what:
        gate.hold()
    if "fail" in what:
        raise KeyError(what)
    if "end" in what:
        raise runtime.JobCancelled
    return what


def look_all(gates):
    """Run until the token is set."""
    for gate in gates:
        look(gate)
    return gates


async def pass_on(request):
    return request


async def pass_many_on(request):
    yield request


def make_async_generator(request):
    return pass_many_on(request)


def make_async_generators(requests):
    return [pass_many_on(request) for request in requests]


def make_coroutine(request):
    return pass_on(request)


def make_coroutines(requests):
    return [pass_on(request) for request in requests]
