import os

import pytest

from runtime._cli.codec import CODECS, LINES, PATHS


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
    assert LINES.encode(PATHS.decode(raw)) == raw + b"\n"


@pytest.mark.parametrize(
    ("result", "line"),
    [(1, b"1\n"), ("", b"\n"), (None, b""), ("é", "é\n".encode()), (False, b"False\n")],
)
def test_result_becomes_one_line_and_none_becomes_nothing(result, line):
    assert LINES.encode(result) == line


@pytest.mark.parametrize(
    "value", [{"a": [1, None, "é\n\0"]}, "text", 1.5, False, [], "\ud800"]
)
def test_json_lines_read_what_they_wrote(value):
    codec = CODECS["jsonl"]
    line = codec.encode(value)
    assert line.count(b"\n") == 1
    assert [codec.decode(raw) for raw in codec.split(line)] == [value]


def test_json_that_cannot_be_written_is_an_error():
    with pytest.raises(TypeError, match="not JSON serializable"):
        CODECS["jsonl"].encode(object())


@pytest.mark.parametrize("value", [float("nan"), [float("inf")]])
def test_number_that_is_not_json_is_an_error(value):
    with pytest.raises(ValueError, match="not JSON compliant"):
        CODECS["jsonl"].encode(value)


def test_result_that_would_be_read_as_two_is_an_error():
    with pytest.raises(ValueError, match="NUL byte"):
        CODECS["nul"].encode("a\0b")
    assert CODECS["nul"].encode("a\nb") == b"a\nb\0"


def test_nul_keeps_line_breaks_and_any_bytes():
    codec = CODECS["nul"]
    raw = b"two\nlines \xff"
    assert codec.encode(codec.decode(raw)) == raw + b"\0"
    assert codec.split(raw + b"\0\0") == [raw, b""]
