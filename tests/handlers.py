"""Handlers that another interpreter can import."""

import contextvars
import os
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


def hold(request):
    """Say that it runs, and wait: for (entered, opened), descriptors of two pipes."""
    entered, opened = request
    os.write(entered, b"e")
    return os.read(opened, 1)


def spin(request):
    """Say that it runs, and run until the token is set, or for ever without a look."""
    entered, looks = request
    os.write(entered, b"e")
    while True:
        if looks:
            runtime.check_cancelled()
