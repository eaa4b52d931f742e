"""The command line in a child process, with a user's module in its directory."""

import subprocess
import sys
import threading

import pytest
from helpers import environ_with_coverage

TIMEOUT = 60.0
_PIPES = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)

USER_MODULE = '''\
"""What a user of ``map`` might write."""

import os
import time

import runtime

not_callable = 1


def same(item):
    return item


def double(item):
    return 2 * int(item)


def only_even(item):
    return item if int(item) % 2 == 0 else None


def deep(item):
    return deeper(item)


def deeper(item):
    return 1 // int(item)


def size(path):
    return os.path.getsize(path)


def leave(item):
    raise SystemExit(item)


def loud(item):
    print("loud")
    return item


def loud_everywhere(item):
    """Write to standard output in each way that there is."""
    print("loud")
    os.write(1, b"loud\\n")
    os.system("echo loud")
    return item * 1000


def words(item):
    """Yield the words of a line; fail behind the first one that is not a word."""
    for word in item.split():
        if word == "!":
            raise ValueError("no word")
        yield word


def unwrapped(item):
    return later(item)


class Unprintable:
    def __str__(self):
        raise ValueError("no text")


def unprintable(item):
    return Unprintable()


async def later(item):
    return item


def stuck(item):
    """Hang at the item "stuck", deaf to everything."""
    while item == "stuck":
        os.write(2, b"stuck\\n")
        time.sleep(1000)
    return item


def patient(path):
    """At the file "wait", do not end before being told to."""
    if os.path.basename(path) == "wait":
        os.write(2, b"waiting\\n")
        while True:
            runtime.check_cancelled()
            time.sleep(0.001)
    return os.path.basename(path)
'''


@pytest.fixture
def user_directory(tmp_path):
    (tmp_path / "user.py").write_text(USER_MODULE)
    return tmp_path


@pytest.fixture
def run_cli(user_directory):
    """Run one command to its end; returns the completed process, in text."""

    def run(*arguments, text="", **options):
        return subprocess.run(
            [sys.executable, "-m", "runtime", *map(str, arguments)],
            cwd=user_directory,
            input=text,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            **{"env": environ_with_coverage(), **options},
        )

    return run


@pytest.fixture
def start_cli(user_directory):
    """Start a command that the test talks to; it is killed if it hangs."""
    started = []

    def start(*arguments, prefix=(), **options):
        child = subprocess.Popen(
            [*prefix, sys.executable, "-m", "runtime", *map(str, arguments)],
            cwd=user_directory,
            **{"env": environ_with_coverage(), **_PIPES, **options},
        )
        guard = threading.Timer(TIMEOUT, child.kill)
        guard.start()
        started.append((child, guard))
        return child

    yield start
    for child, guard in started:
        guard.cancel()
        guard.join()
        child.kill()
        child.communicate()
