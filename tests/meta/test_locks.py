"""No Python code waits for a lock of ours, so none can run under one.

Between any two lines of Python the collector may run the user's finalizers, in the
thread that is there; one that comes back to the scheduler would wait for a lock that
its own thread holds. So a lock is only ever tried, `acquire(False)`: a claim or a flag.
"""

import ast

PACKAGES = ("_core", "_frontend", "_iter", "_processor", "_observe")

# Where one is waited for all the same, and why nothing can come of it.
WAITED_FOR = {
    "runtime/_core/latch.py": "a gate that opens once, to wait is its purpose",
    "runtime/_core/parker.py": "a token, to wait is its purpose",
    "runtime/_core/probe.py": "of jobs that are interrupted; not used by finalizers",
    "runtime/_iter/bridge.py": "the user's iterator runs under it, one call at a time",
}

# What the standard library makes of locks; their methods wait for one.
COMPOUND = {"Barrier", "BoundedSemaphore", "Condition", "Event", "RLock", "Semaphore"}


def is_lock(node):
    name = ast.unparse(node).rpartition(".")[2]
    return name in {"gate", "_gate", "_token"} or name.lower().endswith("lock")


def waits(tree):
    """Yield the lines that take a lock and may wait for it, or make one with others."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "threading":
            if any(name.name in COMPOUND for name in node.names):
                yield node.lineno
        elif isinstance(node, ast.With):
            if any(is_lock(item.context_expr) for item in node.items):
                yield node.lineno
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "acquire"
            and is_lock(node.func.value)
            and [ast.unparse(argument) for argument in node.args] != ["False"]
        ):
            yield node.lineno


def test_locks_are_tried_and_not_waited_for(sources):
    found = {
        str(source): lines
        for source in sources
        if len(source.module) > 1 and source.module[1] in PACKAGES
        if (lines := list(waits(source.tree)))
    }
    assert set(found) <= set(WAITED_FOR), found
