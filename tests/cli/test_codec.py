import os

import pytest

from runtime._cli.codec import LINES, PATHS, encode_result


@pytest.mark.parametrize(
    ("data", "items"),
    [
        (b"", []),
        (b"\n", [""]),
        (b"a\nb\n", ["a", "b"]),
        (b"a\nb", ["a", "b"]),
        (b"a\n\nb\n", ["a", "", "b"]),
        (b"a\r\nb\r\n", ["a", "b"]),
        (b"a\x0bb\x0cc\n", ["a\x0bb\x0cc"]),  # str.splitlines would cut here
        ("é\u2028ü\n".encode(), ["é\u2028ü"]),
    ],
)
def test_lines_end_at_line_breaks_only(data, items):
    assert [LINES.decode(raw) for raw in LINES.split(data)] == items


def test_line_that_is_not_utf8_is_an_error():
    with pytest.raises(UnicodeDecodeError):
        LINES.decode(b"\xff")


def test_path_keeps_any_bytes():
    raw = b"caf\xe9\n.txt"

    assert PATHS.split(raw + b"\0") == [raw]
    assert PATHS.decode(raw) == os.fsdecode(raw)
    assert encode_result(PATHS.decode(raw)) == raw + b"\n"


@pytest.mark.parametrize(
    ("result", "line"),
    [(1, b"1\n"), ("", b"\n"), (None, b""), ("é", "é\n".encode()), (False, b"False\n")],
)
def test_result_becomes_one_line_and_none_becomes_nothing(result, line):
    assert encode_result(result) == line
