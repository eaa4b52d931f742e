"""The table of public names, its mirror for type checkers, and `__all__` agree."""

import ast
import inspect
import subprocess
import sys
import types

import pytest

import runtime

NAMES = [name for name in runtime.__all__ if name != "__version__"]
CLASSES = [name for name in NAMES if inspect.isclass(getattr(runtime, name))]
MODULES = [n for n in NAMES if isinstance(getattr(runtime, n), types.ModuleType)]


def mirror(sources):
    """Return name -> home from the imports under ``if TYPE_CHECKING``."""
    (source,) = (s for s in sources if s.module == ("runtime",))
    homes = {}
    for node in source.tree.body:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            for statement in node.body:
                for alias in statement.names:
                    homes[alias.name] = statement.module or alias.name
    return homes


def test_all_table_and_mirror_list_the_same_names(sources):
    assert mirror(sources) == runtime._HOMES
    assert {*runtime._HOMES, "__version__"} == set(runtime.__all__)
    assert sorted(runtime.__all__) == list(runtime.__all__)
    assert dir(runtime) == sorted(runtime.__all__)


def test_homes_list_what_they_give(sources):
    by_module = {".".join(source.module[1:]): source for source in sources}
    missing = []
    for name, home in runtime._HOMES.items():
        if name in runtime._MODULES:
            continue
        listed = {
            element.value
            for node in by_module[home].tree.body
            if isinstance(node, ast.Assign)
            and ast.unparse(node.targets[0]) == "__all__"
            for element in node.value.elts
        }
        if name not in listed:
            missing.append(f"{name} in {home}.__all__")
    assert missing == []


@pytest.mark.parametrize("name", [name for name in NAMES if name not in MODULES])
def test_public_object_prints_under_its_public_name(name):
    assert getattr(runtime, name).__module__ == "runtime"


def test_errors_print_under_their_public_names_before_anyone_asks_for_them():
    code = (
        "from runtime import _errors\n"
        "print({getattr(_errors, name).__module__ for name in _errors.__all__})"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30
    )
    assert said.stdout == "{'runtime'}\n", said.stderr


@pytest.mark.parametrize("name", NAMES)
def test_public_object_has_a_docstring(name):
    assert inspect.getdoc(getattr(runtime, name))


@pytest.mark.parametrize("name", CLASSES)
def test_public_methods_have_docstrings_of_our_own(name):
    """Methods that our classes define; not what they inherit from elsewhere."""
    missing = [
        attribute
        for owner in getattr(runtime, name).__mro__
        if owner.__module__.partition(".")[0] == "runtime"
        for attribute, value in vars(owner).items()
        if not attribute.startswith("_")
        and isinstance(
            value, types.FunctionType | property | classmethod | staticmethod
        )
        and not value.__doc__
    ]
    assert missing == []


@pytest.mark.parametrize("name", MODULES)
def test_public_module_lists_what_it_gives(name):
    module = getattr(runtime, name)
    for public in module.__all__:
        assert public == "core" or inspect.getdoc(getattr(module, public)), public


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(
        AttributeError, match="module 'runtime' has no attribute 'nope'"
    ):
        runtime.nope  # noqa: B018  # the access is the test


def test_errors_derive_from_one_base():
    apart = {"InternalError", "JobCancelled", "JobInterrupted"}
    errors = {n for n in CLASSES if issubclass(getattr(runtime, n), BaseException)}
    for name in errors - apart:
        assert issubclass(getattr(runtime, name), runtime.ParallelError), name
    for name in apart:
        assert not issubclass(getattr(runtime, name), runtime.ParallelError), name
    assert not issubclass(runtime.JobCancelled, Exception)
    assert not issubclass(runtime.JobInterrupted, Exception)
