"""How many cores a process may use."""

import pytest

from runtime._util import cgroup_quota


@pytest.mark.parametrize(
    ("text", "quota"),
    [("150000 100000", 1.5), ("max 100000", None), ("", None), ("1 0", None)],
)
def test_quota_of_a_control_group(tmp_path, text, quota):
    file = tmp_path / "cpu.max"
    file.write_text(text)
    assert cgroup_quota(v2=file, v1=tmp_path) == quota


@pytest.mark.parametrize(("text", "quota"), [("200000", 2.0), ("-1", None)])
def test_quota_of_a_control_group_of_version_1(tmp_path, text, quota):
    (tmp_path / "cpu.cfs_quota_us").write_text(text)
    (tmp_path / "cpu.cfs_period_us").write_text("100000")
    assert cgroup_quota(v2=tmp_path / "none", v1=tmp_path) == quota


def test_no_control_group_is_no_quota(tmp_path):
    assert cgroup_quota(v2=tmp_path / "none", v1=tmp_path) is None
