"""Each attribute made in a constructor says who may touch it."""

import ast
import re

import pytest

TAG = re.compile(r"\b(immutable|owner|atomic|guarded by)\b")
LAYERS = ("_core", "_backends")


def assigned_attributes(function):
    """Yield name, first and last line of each ``self.name = ...``."""
    for node in ast.walk(function):
        if isinstance(node, ast.Assign):
            targets = node.targets
        elif isinstance(node, ast.AnnAssign):
            targets = [node.target]
        else:
            continue
        for target in targets:
            if (
                isinstance(target, ast.Attribute)
                and ast.unparse(target.value) == "self"
            ):
                yield target.attr, node.lineno, node.end_lineno


def comments_on(lines, first, last):
    """Return the comments beside a statement and in the block right above it."""
    found = [line.partition("#")[2] for line in lines[first - 1 : last] if "#" in line]
    above = first - 2
    while lines[above].lstrip().startswith("#"):
        found.append(lines[above])
        above -= 1
    return " ".join(found)


def untagged(source):
    """Return the attributes of a file's classes that carry no tag."""
    lines = source.text.splitlines()
    exceptions = {"BaseException", "Exception"}
    return [
        f"{source}:{first} {cls.name}.{name}"
        for cls in ast.walk(source.tree)
        if isinstance(cls, ast.ClassDef)
        and not exceptions & {ast.unparse(base) for base in cls.bases}
        for function in cls.body
        if isinstance(function, ast.FunctionDef) and function.name == "__init__"
        for name, first, last in assigned_attributes(function)
        if not TAG.search(comments_on(lines, first, last))
    ]


@pytest.mark.parametrize("layer", LAYERS)
def test_every_attribute_is_tagged(sources, layer):
    found = [
        attribute
        for source in sources
        if len(source.module) > 1 and source.module[1] == layer
        for attribute in untagged(source)
    ]
    assert found == []
