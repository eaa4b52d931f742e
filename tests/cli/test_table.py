import pytest

from runtime._cli.table import align, seconds, short_time


def test_columns_align_first_left_others_right():
    assert align([["", "time"], ["plain", "1 s"]]) == "         time\n  plain   1 s"


@pytest.mark.parametrize(
    ("duration_ns", "text"),
    [(900, "1 us"), (35_400, "35 us"), (999_999, "1000 us"), (1_234_567, "1.2 ms")],
)
def test_short_time_picks_the_unit(duration_ns, text):
    assert short_time(duration_ns) == text


def test_seconds_have_two_decimals():
    assert seconds(4.049) == "4.05 s"
