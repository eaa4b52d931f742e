"""What the demo found: totals, and the functions that stand out.

Layer: cli.
"""

import ast
import os
from collections.abc import Mapping
from operator import attrgetter

from .module_metrics import ModuleMetrics

__all__ = ("describe_findings",)

_NAMED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_RECORDS = (
    ("longest function", "longest", "lines"),
    ("deepest nesting", "deepest", "blocks deep"),
    ("most complex function", "most_complex", "ways through it"),
)


def describe_findings(found: Mapping[str, ModuleMetrics], root: str) -> list[list[str]]:
    """Return one row per finding; paths are told relative to ``root``."""
    return [_record(found, root, *record) for record in _RECORDS]


def _record(
    found: Mapping[str, ModuleMetrics], root: str, title: str, field: str, unit: str
) -> list[str]:
    measure = attrgetter(field)
    path = max(found, key=lambda path: measure(found[path]))
    line = getattr(found[path], f"{field}_at")
    name = _function_at(path, line)
    place = f"{os.path.relpath(path, root)}:{line}"
    return [f"{title}: {name} ({place})", f"{measure(found[path]):,} {unit}"]


def _function_at(path: str, line: int) -> str:
    with open(path, "rb") as file:
        tree = ast.parse(file.read())
    return _name_at(tree, line, "") or "none"


def _name_at(scope: ast.AST, line: int, prefix: str) -> str | None:
    """Return the qualified name of the function that begins at the line."""
    for node in ast.iter_child_nodes(scope):
        inner = prefix
        if isinstance(node, _NAMED):
            if node.lineno == line and not isinstance(node, ast.ClassDef):
                return prefix + node.name
            inner = f"{prefix}{node.name}."
        if name := _name_at(node, line, inner):
            return name
    return None
