"""How Sphinx builds these pages; see contributing.md for the command."""

import re
from inspect import isasyncgenfunction, unwrap
from typing import Any

from sphinx.application import Sphinx

import runtime

# Public names are imported, and get their public module, when they are first used.
for _name in runtime.__all__:
    getattr(runtime, _name)

project = "trio-runtime"
author = "trio-runtime contributors"
copyright = "trio-runtime contributors"  # noqa: A001  # Sphinx's name for it
version = release = runtime.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.intersphinx",
    "sphinx.ext.napoleon",
]
html_theme = "furo"
html_title = "trio-runtime"
html_show_copyright = False
html_copy_source = False
exclude_patterns = ["_build"]

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

# Docstrings write names as `name`.
default_role = "py:obj"
nitpicky = True
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 80
napoleon_use_ivar = True

# The inventories hold the names that these pages use, in Sphinx's plain text form
# (version 1), so the build is the same with and without a network. Where a
# reference to another project is not found, add its line.
intersphinx_mapping = {
    "python": ("https://docs.python.org/3/", "inventories/python.txt"),
    "trio": ("https://trio.readthedocs.io/en/stable/", "inventories/trio.txt"),
    "outcome": ("https://outcome.readthedocs.io/en/latest/", "inventories/outcome.txt"),
}

# In signatures only: type parameters, aliases whose values the docstring lists, and
# classes that nobody outside the package makes.
nitpick_ignore = [
    *(("py:class", name) for name in (*"ABCMRSTXY", "Worker")),
    *(("py:obj", f"typing.{name}") for name in (*"ABRTXY", "Ts")),
    # Overloads are shown as written, without the module.
    ("py:class", "AbstractAsyncContextManager"),
]
nitpick_ignore_regex = [("py:class", r"runtime\._(core|frontend|iter|processor)\..*")]

# Made by the runtime only, so their constructors are nobody's business.
_MADE_FOR_USERS = {
    "runtime.HistogramSnapshot",
    "runtime.Job",
    "runtime.JobState",
    "runtime.ParIter",
    "runtime.PoolStatistics",
    "runtime.ProcessingStatistics",
    "runtime.BatchReport",
    "runtime.StreamPerformance",
    "runtime.Priority",
    "runtime.Scope",
    "runtime.ShutdownReport",
    "runtime.Straggler",
    "runtime.SyncPool",
    "runtime.WorkerLocal",
    "runtime.WorkerPool",
    "runtime.WorkerStatistics",
    "runtime.lowlevel.Stealer",
}

# Sections of our own, which begin on the heading's line (unlike Args and Returns).
_SECTION = re.compile(r"^(Cancellation|Thread safety|Cost|Source): ")


def mark_own_sections(
    _app: Sphinx, _what: str, _name: str, _obj: Any, _options: Any, lines: list[str]
) -> None:
    """Make each section of our own a paragraph that begins with its name."""
    in_section = False
    for index, line in enumerate(lines):
        if _SECTION.match(line):
            in_section = True
            lines[index] = _SECTION.sub(r"**\1:** ", line)
        elif not line.startswith(" "):
            in_section = False
        elif in_section:
            lines[index] = line.lstrip()


def write_signature(
    _app: Sphinx,
    _what: str,
    name: str,
    obj: Any,
    _options: Any,
    signature: str | None,
    returns: str | None,
) -> tuple[str | None, str | None]:
    """Show what a caller sees: ``*Ts``, context managers, no useless constructors."""
    if name in _MADE_FOR_USERS:
        return "", None
    if signature is not None:
        signature = re.sub(r"~typing\.Unpack\[(.+?)\]", r"*\1", signature)
    if returns is not None and isasyncgenfunction(unwrap(obj)):
        returns = returns.replace(
            "~collections.abc.AsyncIterator", "~contextlib.AbstractAsyncContextManager"
        )
    return signature, returns


def setup(app: Sphinx) -> None:
    """Connect what is above."""
    # Before napoleon, which would take the rest of a section for a quotation.
    app.connect("autodoc-process-docstring", mark_own_sections, priority=400)
    app.connect("autodoc-process-signature", write_signature)
