"""Imports only point down, and loading the package loads little."""

import ast
import subprocess
import sys

import pytest

RANKS = {
    "_context": 0,
    "_environment": 0,
    "_errors": 0,
    "_unawaited": 0,
    "_until": 0,
    "_util": 0,
    "_version": 0,
    "_core": 1,
    "_native": 1,
    "_backends": 2,
    "_frontend": 3,
    "_iter": 4,
    "_processor": 5,
    "_observe": 6,
    "_cli": 7,
    # The public facades, which nothing but the command line may import.
    "": 7,
    "__main__": 7,
    "abc": 7,
    "from_worker": 7,
    "lowlevel": 7,
    "testing": 7,
}
FACADES = {name for name, rank in RANKS.items() if rank == 7} - {"_cli"}

THIRD_PARTY = {
    "_context": set(),
    "_environment": set(),
    "_errors": set(),
    "_unawaited": set(),
    "_until": set(),
    "_util": set(),
    "_version": set(),
    "_core": {"outcome"},
    "_backends": {"outcome"},
    "_frontend": {"trio", "outcome"},
}


def layer(module):
    """Return the layer of ``("runtime", "_core", "job")``: ``"_core"``."""
    return module[1] if len(module) > 1 else ""


def imported(source):
    """Yield what a file imports as tuples, also for types and inside functions."""
    package = source.module if source.is_package else source.module[:-1]
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            yield from (tuple(alias.name.split(".")) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = tuple(node.module.split(".")) if node.module else ()
            if node.level:
                base = package[: len(package) - node.level + 1] + base
            if base == ("runtime",):  # from .. import _core
                yield from (
                    (*base, alias.name) if alias.name in RANKS else base
                    for alias in node.names
                )
            else:
                yield base


def test_every_module_has_a_rank(sources):
    assert {layer(source.module) for source in sources} <= RANKS.keys()


def test_imports_only_point_down(sources):
    upwards = [
        f"{source} imports {'.'.join(target)}"
        for source in sources
        for target in imported(source)
        if target[0] == "runtime" and RANKS[layer(target)] > RANKS[layer(source.module)]
    ]
    assert upwards == []


def test_facades_are_imported_by_the_command_line_alone(sources):
    imports = [
        f"{source} imports {'.'.join(target)}"
        for source in sources
        for target in imported(source)
        if target[0] == "runtime"
        and layer(target) in FACADES
        and layer(source.module) not in {"_cli", "__main__", ""}
    ]
    assert imports == []


def test_layers_import_only_the_third_party_packages_they_may(sources):
    imports = [
        f"{source} imports {target[0]}"
        for source in sources
        for target in imported(source)
        if (allowed := THIRD_PARTY.get(layer(source.module))) is not None
        and target[0] not in allowed | {"runtime"} | sys.stdlib_module_names
    ]
    assert imports == []


def test_threading_primitives_enter_the_core_by_one_door(sources):
    doors = {
        source.path.name
        for source in sources
        for target in imported(source)
        if layer(source.module) == "_core" and target[0] in {"threading", "_thread"}
    }
    assert doors == {"sync.py"}


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import runtime", {"trio", "outcome", "attr", "asyncio", "threading"}),
        ("import runtime._backends", {"trio", "outcome", "attr", "asyncio"}),
        # What every worker's interpreter waits for.
        (
            "import runtime._backends.child",
            {"trio", "outcome", "attr", "asyncio", "typing", "re", "pickle", "runpy"},
        ),
        # What a job in an interpreter waits for that begins a chain, say.
        (
            "from runtime import join, par_iter, scope",
            {"trio", "asyncio", "sniffio", "runtime._frontend"},
        ),
        ("import runtime._core", {"trio", "asyncio", "sniffio"}),
        ("import runtime.lowlevel", {"trio", "asyncio", "sniffio"}),
    ],
)
def test_import_loads_little(statement, absent):
    """In a fresh process, without the modules that `site` may load."""
    script = (
        f"import sys; before = set(sys.modules); {statement}; "
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", script],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert not absent & set(done.stdout.split())
