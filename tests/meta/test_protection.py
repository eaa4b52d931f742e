"""Tasks of ours are protected from Ctrl-C; see `runtime._frontend.protected`."""

import ast

# Feeders run the user's source, which Ctrl-C has to reach; what they count is
# protected where it is counted.
UNPROTECTED = {"feed"}


def started_functions(tree):
    """Yield what is started in a Trio task without `start_task`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("start_soon"):
            yield ast.unparse(node.args[0]).rsplit(".")[-1]


def test_tasks_of_ours_are_started_protected(sources):
    started = {
        (source.module[-1], name)
        for source in sources
        for name in started_functions(source.tree)
        if source.module[1] != "_cli" and name not in UNPROTECTED
    }
    assert started == {("protected", "_run_protected")}
