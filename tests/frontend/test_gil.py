"""A pool notices that an import has turned the GIL on.

In processes of their own: nothing turns it off again.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import textwrap

import pytest
from helpers import environ_with_coverage

from runtime._backends import why_unavailable

COMPILER = shutil.which("cc")
EXTENSION = """
    #include <Python.h>
    static struct PyModuleDef def = {PyModuleDef_HEAD_INIT, .m_name = "needs_gil"};
    PyMODINIT_FUNC PyInit_needs_gil(void) { return PyModule_Create(&def); }
"""
PRELUDE = """
    import logging, sys, trio, runtime

    logging.basicConfig(stream=sys.stdout, format="%(message)s")

    def job():
        import needs_gil

    async def look(backend, *jobs):
        async with runtime.open_worker_pool(1, backend=backend) as pool:
            for fn in jobs:
                await pool.spawn_cpu_work(fn)
            now = pool.statistics()
            print(now.backend, now.gil_enabled)
"""
WAY_OUT = "PYTHON_GIL=0 in the environment keeps it off"

needs_choice = pytest.mark.skipif(
    COMPILER is None or not sysconfig.get_config_var("Py_GIL_DISABLED"),
    reason="needs a compiler and a build that can do without a GIL",
)


@pytest.fixture(scope="module")
def extension(tmp_path_factory):
    """A folder with an extension that does not declare anything of the GIL."""
    folder = tmp_path_factory.mktemp("extension")
    (folder / "needs_gil.c").write_text(EXTENSION)
    include = sysconfig.get_paths()["include"]
    target = folder / f"needs_gil{sysconfig.get_config_var('EXT_SUFFIX')}"
    command = [COMPILER, "-shared", "-fPIC", f"-I{include}", "-DPy_GIL_DISABLED=1"]
    subprocess.run([*command, folder / "needs_gil.c", "-o", target], check=True)
    return folder


def run(story, *folders, before="", **environment):
    """Run a story in a process of its own; return the lines it printed."""
    code = "\n".join([before, textwrap.dedent(PRELUDE), textwrap.dedent(story)])
    inherited = {
        k: v for k, v in environ_with_coverage().items() if k != "RUNTIME_BACKEND"
    }
    path = [*map(str, folders), inherited.get("PYTHONPATH", "")]
    result = subprocess.run(
        [sys.executable, "-P", "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        env=inherited
        | {"PYTHONPATH": os.pathsep.join(filter(None, path))}
        | environment,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()


@needs_choice
def test_import_inside_a_job_is_logged_once_and_named(extension):
    first, second, *more = run(
        "trio.run(look, 'threads', job, job); trio.run(look, 'threads', job)", extension
    )
    assert first.startswith("the import of 'needs_gil' has turned the GIL on")
    assert WAY_OUT in first
    assert [second, *more] == ["threads True", "threads True"]


@needs_choice
@pytest.mark.parametrize("backend", ["auto", "threads"])
@pytest.mark.parametrize("before", ["", "import needs_gil"])
def test_import_at_the_top_is_named_when_the_pool_opens(extension, backend, before):
    """Before the package is imported, or after."""
    after = "" if before else "import needs_gil; "
    lines = run(f"{after}trio.run(look, {backend!r})", extension, before=before)
    chosen = "threads"
    if backend == "auto" and why_unavailable("interpreters") is None:
        chosen = "interpreters"
    elif backend == "auto":
        assert lines.pop(0).startswith("pools use threads, which take turns")
    assert lines[0].startswith(
        f"pool 'pool-1' runs its jobs in {chosen}: the import of"
    )
    assert "'needs_gil'" in lines[0]
    assert WAY_OUT in lines[0]
    assert lines[1:] == [f"{chosen} True"]


@needs_choice
def test_gil_that_is_kept_off_or_was_asked_for_is_not_spoken_of(extension):
    story = "import needs_gil; trio.run(look, 'threads', job)"
    assert run(story, extension, PYTHON_GIL="0") == ["threads False"]
    assert run(story, extension, PYTHON_GIL="1") == ["threads True"]


def test_nothing_is_said_where_nothing_was_turned_on():
    (line,) = run("trio.run(look, 'threads', int)")
    assert line == f"threads {sys._is_gil_enabled()}"


@needs_choice
def test_warning_that_is_not_shown_leaves_the_module_unnamed(extension):
    story = """
        import warnings
        from runtime._core import gil

        warnings.simplefilter("ignore")
        gil.SETTLED_NS = 0
        trio.run(look, 'threads', job)
    """
    first, second = run(story, extension)
    assert first.startswith("an import has turned the GIL on")
    assert second == "threads True"
