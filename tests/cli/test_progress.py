"""The bar on a terminal, and nothing where there is none."""

import os
import pty
import subprocess
import sys

import pytest
from helpers import environ_with_coverage

from runtime._cli import progress

pytestmark = pytest.mark.slow  # starts interpreters


@pytest.fixture
def terminal():
    ours, theirs = pty.openpty()
    yield ours, theirs
    os.close(ours)


def read_all(fd):
    """Read until the other side of the terminal is closed."""
    pieces = []
    while True:
        try:
            piece = os.read(fd, 65536)
        except OSError:  # how Linux tells the end of a terminal
            return b"".join(pieces).decode()
        if not piece:
            return b"".join(pieces).decode()
        pieces.append(piece)


def start_on(terminal_fd, user_directory, *arguments, **options):
    child = subprocess.Popen(
        [sys.executable, "-m", "runtime", "map", *arguments],
        cwd=user_directory,
        stderr=terminal_fd,
        env={**environ_with_coverage(), "TERM": "xterm", "COLUMNS": "100"},
        **options,
    )
    os.close(terminal_fd)
    return child


def test_bar_counts_items_and_is_gone_at_the_end(terminal, user_directory):
    pytest.importorskip("rich")
    ours, theirs = terminal
    (user_directory / "numbers").write_text("1\n" * 1234)

    with start_on(
        theirs, user_directory, "user:same", "numbers", stdout=subprocess.DEVNULL
    ) as child:
        shown = read_all(ours)

    assert child.returncode == 0
    assert "1,234 items" in shown
    assert shown.endswith("\x1b[2K")  # the line is erased


def test_results_on_the_same_terminal_stand_above_the_bar(terminal, user_directory):
    pytest.importorskip("rich")
    ours, theirs = terminal
    (user_directory / "numbers").write_text("1\n2\n")

    with start_on(
        theirs, user_directory, "user:double", "numbers", stdout=theirs
    ) as child:
        shown = read_all(ours)

    assert child.returncode == 0
    assert shown.index("2\r\n") < shown.index("4\r\n")


def test_bar_stays_out_of_what_the_user_types(terminal, user_directory):
    ours, theirs = terminal

    with start_on(
        theirs, user_directory, "user:double", stdin=theirs, stdout=theirs
    ) as child:
        os.write(ours, b"1\n\x04")
        shown = read_all(ours)

    assert child.returncode == 0
    assert "Ctrl-D ends" in shown
    assert "2\r\n" in shown
    assert "item" not in shown


def test_without_rich_there_is_no_bar(monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    with progress.open_progress("map", "item", None) as bar:
        assert type(bar).__name__ == "_Silent"


def test_without_a_terminal_there_is_no_bar(capfd):
    with progress.open_progress("map", "item", 10) as bar:
        bar.describe("round")
        bar.advance(1, 1)
        assert not bar.is_shown

    assert capfd.readouterr() == ("", "")
