"""Measure one Python module: size, functions, nesting, complexity.

`measure_module` is the demo's unit of work. It takes a path and returns a flat
tuple of ints, so that nothing but a string and a few numbers travels between
threads: an object made by one thread and used by another is slow on
free-threaded builds. It never imports or runs the module it measures.

Complexity is McCabe's: one for the function, and one more for every place
where the flow can take another way (see `_decisions`). Nesting counts the blocks
(`if`, `for`, `while`, `try`, `with`, `match`) around the innermost statement of a
function. A nested function is measured on its own and adds nothing to the one
around it.

Layer: cli.
"""

import ast
import io
import tokenize
from typing import NamedTuple

__all__ = ("FunctionMetrics", "ModuleMetrics", "measure_module", "measure_source")

type FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_LOOPS = (ast.For, ast.AsyncFor, ast.While)
_BLOCKS = (
    ast.If,
    *_LOOPS,
    ast.Try,
    ast.TryStar,
    ast.With,
    ast.AsyncWith,
    ast.Match,
)
_BRANCHES = (ast.If, ast.IfExp, *_LOOPS, ast.ExceptHandler)


class ModuleMetrics(NamedTuple):
    """What `measure_module` found; every ``*_at`` is a line number, 0 for none."""

    lines: int
    tokens: int
    functions: int
    longest: int
    longest_at: int
    deepest: int
    deepest_at: int
    most_complex: int
    most_complex_at: int


class FunctionMetrics(NamedTuple):
    """One function's line count, nesting depth and cyclomatic complexity."""

    lines: int
    nesting: int
    complexity: int


def measure_module(path: str) -> ModuleMetrics:
    """Read, tokenise, parse and measure the module at ``path``."""
    with open(path, "rb") as file:
        return measure_source(file.read())


def measure_source(source: bytes) -> ModuleMetrics:
    """Tokenise, parse and measure the text of one module."""
    longest = deepest = most_complex = (0, 0)
    functions = 0
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, _FUNCTIONS):
            continue
        functions += 1
        metrics, at = _measure_function(node), node.lineno
        longest = _larger(longest, (metrics.lines, at))
        deepest = _larger(deepest, (metrics.nesting, at))
        most_complex = _larger(most_complex, (metrics.complexity, at))
    lines = len(source.splitlines())
    tokens = _count_tokens(source)
    return ModuleMetrics(lines, tokens, functions, *longest, *deepest, *most_complex)


def _larger(best: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
    return other if other[0] > best[0] else best


def _count_tokens(source: bytes) -> int:
    return sum(1 for _ in tokenize.tokenize(io.BytesIO(source).readline))


def _measure_function(function: FunctionNode) -> FunctionMetrics:
    nesting, complexity = 0, 1
    # Depth first with an explicit stack: (node, blocks around it).
    pending: list[tuple[ast.AST, int]] = [(child, 0) for child in function.body]
    while pending:
        node, depth = pending.pop()
        if isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
            continue
        complexity += _decisions(node)
        if isinstance(node, _BLOCKS):
            depth += 1
            nesting = max(nesting, depth)
        # An `elif` is an `if` in the other's `else`, but not a level deeper.
        pending.extend(
            (child, depth - _is_elif(node, child))
            for child in ast.iter_child_nodes(node)
        )
    first = function.lineno
    lines = (function.end_lineno or first) - first + 1
    return FunctionMetrics(lines, nesting, complexity)


def _is_elif(parent: ast.AST, child: ast.AST) -> bool:
    return (
        isinstance(parent, ast.If)
        and isinstance(child, ast.If)
        and parent.orelse == [child]
    )


def _decisions(node: ast.AST) -> int:
    """Count the other ways the flow can take at this one node."""
    if isinstance(node, ast.comprehension):
        return 1 + len(node.ifs)
    if isinstance(node, _BRANCHES):
        return 1
    if isinstance(node, ast.BoolOp):
        return len(node.values) - 1
    if isinstance(node, ast.match_case):
        return 0 if _is_wildcard(node) else 1
    return 0


def _is_wildcard(case: ast.match_case) -> bool:
    pattern = case.pattern
    return (
        isinstance(pattern, ast.MatchAs)
        and pattern.pattern is None
        and case.guard is None
    )
