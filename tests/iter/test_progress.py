"""One bar for a chain."""

import io

import pytest

import runtime
from runtime._iter import progress
from runtime._iter.progress import Bar


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_bar_grows():
    stream = Terminal()
    bar = Bar("work", 200, stream)
    bar.advance(100)
    bar.advance(100)
    bar.close()
    drawn = stream.getvalue().split("\r")
    assert drawn[1] == f"work: [{'#' * 15:<30}]  50%"
    assert drawn[-1] == f"work: [{'#' * 30}] 100%\n"


def test_bar_is_drawn_seldom():
    stream = Terminal()
    bar = Bar("work", 10**6, stream)
    for _ in range(1000):
        bar.advance(1)
    assert stream.getvalue().count("\r") <= 20


def test_bar_of_unknown_length_counts():
    bar = Bar("lines", None, Terminal())
    bar.advance(1234)
    assert bar.text() == "lines: 1,234 items"


def test_bar_of_nothing_is_full():
    assert Bar("none", 0, Terminal()).text().endswith("100%")


def test_no_terminal_no_bar():
    stream = io.StringIO()
    bar = Bar("work", 10, stream)
    bar.advance(10)
    bar.close()
    assert stream.getvalue() == ""


@pytest.mark.parametrize("make", [range, lambda n: iter(range(n))])
def test_chain_shows_its_label(monkeypatch, sync_pool, make):
    stream = Terminal()
    monkeypatch.setattr(progress.sys, "stderr", stream)
    assert runtime.par_iter(make(100)).progress("items").map(str).count() == 100
    last = stream.getvalue().rpartition("\r")[2]
    assert last in (f"items: [{'#' * 30}] 100%\n", "items: 100 items\n")
