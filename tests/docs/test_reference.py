"""Every public name has its place in the reference."""

import re
from pathlib import Path

import pytest

import runtime

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
MODULES = ("from_worker", "lowlevel", "testing")
# Classes that users receive; all that is public about them is documented.
CLASSES = (
    "HistogramSnapshot",
    "ParallelProcessor",
    "PoolStatistics",
    "ProcessingStatistics",
    "StreamPerformanceMonitor",
    "WorkerPool",
)


def documented() -> set[str]:
    """Return the full names that the reference pages document."""
    names: set[str] = set()
    for page in REFERENCE.glob("*.md"):
        scope: list[str] = []  # names that what is indented further belongs to
        module = ""
        for line in page.read_text().splitlines():
            if match := re.match(r"\.\. currentmodule:: (\S+)", line):
                module = match[1]
            if match := re.match(r"( *)\.\. (?:auto|py:)\w+:: ([\w.]+)", line):
                indent, name = len(match[1]), match[2]
                if indent:
                    name = f"{scope[0]}.{name}"
                elif not name.startswith("runtime."):
                    name = f"{module}.{name}"
                if not indent:
                    scope = [name]
                names.add(name)
            if match := re.match(r" +:members: (.+)", line):
                names |= {f"{scope[0]}.{member}" for member in match[1].split(", ")}
    return names


@pytest.mark.parametrize("name", runtime.__all__)
def test_public_name_is_in_the_reference(name):
    assert f"runtime.{name}" in documented()


@pytest.mark.parametrize("module", MODULES)
def test_public_name_of_a_module_is_in_the_reference(module):
    public = {f"runtime.{module}.{name}" for name in getattr(runtime, module).__all__}
    assert public - documented() == set()


@pytest.mark.parametrize("name", CLASSES)
def test_public_member_of_a_class_is_in_the_reference(name):
    members = {
        f"runtime.{name}.{member}"
        for member, value in vars(getattr(runtime, name)).items()
        if not member.startswith("_") and value.__doc__
    }
    assert members - documented() == set()


def test_reference_names_nothing_that_is_not_there():
    for name in documented():
        value: object = runtime
        for part in name.split(".")[1:]:
            value = getattr(value, part)
