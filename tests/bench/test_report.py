"""Tables and targets say what the samples say."""

from bench.report import layout, ratio_table, ratio_target

SAMPLES = {
    "plain": [4.0, 8.0, 4.0],
    "ceiling": [2.0, 4.0, 2.0],
    "ours": [2.5, 5.0, 2.5],
}


def test_ratio_table_divides_within_the_round() -> None:
    table = ratio_table(
        SAMPLES,
        unit="ms",
        units_per_second=1e3,
        columns={"speed-up": "plain", "of ceiling": "ceiling"},
    )
    assert table[0] == ["", "ms", "speed-up", "p10-p90", "of ceiling", "p10-p90"]
    assert table[3] == ["ours", "2500.0", "1.60", "1.60-1.60", "0.80", "0.80-0.80"]


def test_ratio_target_met_at_the_limit() -> None:
    target = ratio_target("jobs", SAMPLES, "ours", "ceiling", 0.8, "{} of the ceiling")
    assert (target.promise, target.is_met) == ("0.80 of the ceiling", True)
    assert target.measured == "0.80 (0.80-0.80)"


def test_ratio_target_missed_below_the_limit() -> None:
    target = ratio_target("jobs", SAMPLES, "ours", "ceiling", 0.81, "{}")
    assert not target.is_met


def test_layout_aligns_names_left_and_figures_right() -> None:
    table = [["", "ms"], ["a", "1.0"], ["long", "10.0"]]
    assert layout(table) == "        ms\na      1.0\nlong  10.0"
