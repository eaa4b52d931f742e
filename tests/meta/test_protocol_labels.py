"""Prose and code of a protocol name the same steps.

The prose is a protocol file (``*.md`` in the package) or a module's docstring; the
code is its comments. So neither can lose a step that the other still has.
"""

import ast
import io
import re
import tokenize
from collections import defaultdict

FAMILIES = (
    "SLEEP|POST|SPARE|CLAIM|PORT|CALL|BACK|MAP|STOP|CANCEL|CROSS|HOST|JOIN|PROBE|"
    "SAFE|REQ|STRETCH|ASK|CREW|WATCH"
)
LABEL = re.compile(rf"\b({FAMILIES})-(\d+)\b")
ATOMIC = re.compile(r"\bATOMIC\(([^)]*)\)")


def comments(source):
    """Yield the text of each comment."""
    for token in tokenize.generate_tokens(io.StringIO(source.text).readline):
        if token.type == tokenize.COMMENT:
            yield token.string


def labels(texts):
    """Return the labels of all texts as ``{family: {numbers}}``."""
    found = defaultdict(set)
    for text in texts:
        for family, number in LABEL.findall(text):
            found[family].add(int(number))
    return dict(found)


def prose(sources, package):
    yield from (path.read_text() for path in package.rglob("*.md"))
    yield from (ast.get_docstring(source.tree) or "" for source in sources)


def code(sources):
    for source in sources:
        yield from comments(source)


def test_labels_in_code_and_prose_are_the_same(sources, package):
    assert labels(code(sources)) == labels(prose(sources, package))


def test_labels_are_numbered_without_holes(sources, package):
    found = labels(prose(sources, package))
    assert found  # else the two tests would agree on nothing
    for family, numbers in found.items():
        assert numbers == set(range(1, len(numbers) + 1)), family


def test_every_family_of_labels_is_known(sources):
    """A new family has to be added above, or nothing would check it."""
    shape = re.compile(r"#\s.*?\b([A-Z]{3,})-\d+\b")
    families = {name for text in code(sources) for name in shape.findall(text)}
    assert families - {"UTF"} <= set(FAMILIES.split("|"))


def test_atomic_steps_are_in_the_ledger(sources, checkout):
    ledger = (checkout / "docs" / "explanation" / "atomicity.md").read_text()
    used = {name for text in code(sources) for name in ATOMIC.findall(text)}
    assert used
    assert {name for name in used if name not in ledger} == set()
