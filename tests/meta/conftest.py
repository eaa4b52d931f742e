"""The sources that are looked at: the installed package, and the checkout."""

import ast
from pathlib import Path

import pytest

import runtime

PACKAGE = Path(runtime.__file__).parent
CHECKOUT = Path(__file__).parents[2]


class Source:
    """One parsed file of the package."""

    def __init__(self, path):
        self.path = path
        self.text = path.read_text()
        self.tree = ast.parse(self.text)
        self.name = str(path.relative_to(PACKAGE.parent))
        # ("runtime", "_core", "job"); a package's __init__ is the package itself.
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        self.module = parts[:-1] if parts[-1] == "__init__" else parts
        self.is_package = parts[-1] == "__init__"

    def __repr__(self):
        return self.name


@pytest.fixture(scope="session")
def sources():
    return [Source(path) for path in sorted(PACKAGE.rglob("*.py"))]


@pytest.fixture(scope="session")
def package():
    return PACKAGE


@pytest.fixture(scope="session")
def checkout():
    return CHECKOUT
