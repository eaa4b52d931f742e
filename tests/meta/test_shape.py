"""Files and functions stay small, and links lead somewhere."""

import ast
import re

MAX_FILE_LINES = 600
MAX_FUNCTION_LINES = 60
LINK = re.compile(r"\]\(<?([^)>\s]+)>?\)")
IGNORED = {".git", ".tox", ".venv", "build", "dist", "node_modules", "_build"}


def files(root, *patterns):
    return [
        path
        for pattern in patterns
        for path in sorted(root.rglob(pattern))
        if not IGNORED & set(path.relative_to(root).parts)
    ]


def code_lines(function, lines):
    """Return how many lines of a function are neither comment, blank nor docstring."""
    body = function.body
    if ast.get_docstring(function) is not None:
        body = body[1:]
    if not body:
        return 0
    text = lines[body[0].lineno - 1 : function.end_lineno]
    return sum(
        bool(line.strip()) and not line.lstrip().startswith("#") for line in text
    )


def test_files_are_not_too_long(checkout):
    long = [
        f"{path.relative_to(checkout)}: {count}"
        for folder in ("runtime", "bench")
        for path in files(checkout / folder, "*.py", "*.c", "*.h")
        if (count := len(path.read_text().splitlines())) > MAX_FILE_LINES
    ]
    assert long == []


def test_functions_are_not_too_long(checkout):
    long = []
    for path in [*files(checkout, "*.py"), checkout / "dev"]:
        text = path.read_text()
        lines = text.splitlines()
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                count = code_lines(node, lines)
                if count > MAX_FUNCTION_LINES:
                    long.append(f"{path.relative_to(checkout)} {node.name}: {count}")
    assert long == []


def test_relative_links_lead_somewhere(checkout):
    broken = []
    for path in files(checkout, "*.md"):
        text = re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL)
        for target in LINK.findall(text):
            target = target.partition("#")[0]
            if not target or re.match(r"[a-z]+:", target):
                continue
            if not (path.parent / target).exists():
                broken.append(f"{path.relative_to(checkout)}: {target}")
    assert broken == []
