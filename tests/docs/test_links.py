"""What the pages point at is there; Sphinx checks the links between the pages."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])


def test_readme_links_to_files_that_exist():
    text = (ROOT / "README.md").read_text()
    links = [link for link in re.findall(r"\]\(([^)]+)\)", text) if ":" not in link]
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_source_files_named_on_a_page_exist(page):
    text = page.read_text()
    below_runtime = re.findall(r"`(_\w+/\w+\.py)`", text)
    below_root = re.findall(r"`((?:runtime|tests|bench|docs)/[\w./]+\.\w+)`", text)
    paths = [Path("runtime", name) for name in below_runtime] + below_root
    assert [str(path) for path in paths if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_tests_named_on_a_page_exist(page):
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", page.read_text())
    assert page.stem != "cancellation" or len(named) > 20
    missing = [
        f"{path}::{name}"
        for path, name in named
        if f"def {name}(" not in (ROOT / path).read_text()
    ]
    assert missing == []
