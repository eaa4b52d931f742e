"""Run a peer's own tests here: from its installed package or its source.

A test that differs on purpose is expected to fail, strictly: if it passes one day,
the list of reasons is out of date.
"""

import inspect

import pytest


def borrow(module, namespace, *, differs, leaves_out, prefixes=()):
    """Put a module's tests into a namespace of ours, so that pytest collects them.

    Args:
      prefixes: Tests whose names begin so are of what we have not.
      module: The peer's module of tests.
      namespace: Of our module of tests.
      differs: By name of a test: why ours does not do what it wants.
      leaves_out: By name of a test: why it says nothing about us, or cannot run.
    """
    tests = dict(_tests_of(module))
    unknown = (differs.keys() | leaves_out.keys()) - tests.keys()
    assert not unknown, f"{module.__name__} has no test {sorted(unknown)}"
    for name, test in tests.items():
        if name in leaves_out or name.startswith(prefixes):
            continue
        if name in differs:
            # Of one with parameters some may pass.
            is_single = not any(m.name == "parametrize" for m in _marks_of(test))
            mark = pytest.mark.xfail(reason=differs[name], strict=is_single)
            pytest.mark.filterwarnings("ignore")(mark(test))
        short = name.replace(".", "_")
        namespace[short if short.startswith("test_") else f"test_{short}"] = test


def _marks_of(test):
    return getattr(test, "pytestmark", ())


def _tests_of(module):
    for name, thing in vars(module).items():
        if name.startswith("test_") and inspect.isfunction(thing):
            yield name, thing
        elif name.startswith("Test") and inspect.isclass(thing):
            for method, function in vars(thing).items():
                if method.startswith("test_"):
                    yield f"{name}.{method}", _without_self(function)


def _without_self(method):
    """Return a method that uses no `self` as a function with the same fixtures."""
    if inspect.iscoroutinefunction(method):

        async def test(**fixtures):
            await method(None, **fixtures)
    else:

        def test(**fixtures):
            method(None, **fixtures)

    test.__name__ = f"test_{method.__qualname__.replace('.', '_')}"
    test.__dict__.update(method.__dict__)  # its marks
    _self, *rest = inspect.signature(method).parameters.values()
    test.__signature__ = inspect.Signature(
        [p.replace(kind=p.KEYWORD_ONLY) for p in rest]
    )
    return test
