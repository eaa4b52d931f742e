"""Extension modules that interpreters refuse are noted, told once, and named."""

import importlib
import logging
import re
import shutil
import subprocess
import sysconfig

import jobs
import pytest
import trio

import runtime
from runtime._backends import refusals
from runtime._backends.refused import advice, way_out_of_module

# In every installation, and refused in every interpreter but the main one.
REFUSED = "faulthandler"
NOTE = way_out_of_module(REFUSED)

# As packages do whose extension may be missing.
FALLBACK = f"""
try:
    from {REFUSED} import enable as fast
except ImportError:
    fast = None

def is_fast(_=None):
    return fast is not None
"""
# As NumPy does, and others.
EXPLAINS = f"""
try:
    import {REFUSED}
except ImportError as error:
    raise {{what}}
"""

# Of one phase, as most that were written before there were interpreters.
SINGLE_PHASE = """
#include <Python.h>
static struct PyModuleDef def = {PyModuleDef_HEAD_INIT, "NAME", NULL, -1, NULL};
PyMODINIT_FUNC PyInit_NAME(void) { return PyModule_Create(&def); }
"""
# What Cython puts into its modules.
ONE_INTERPRETER = """
#include <Python.h>
static int refuse(PyObject *module) {
    PyErr_SetString(PyExc_ImportError, "Interpreter change detected - this module can "
        "only be loaded into one interpreter per process.");
    return -1;
}
static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, refuse},
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
    {Py_mod_gil, Py_MOD_GIL_NOT_USED}, {0, NULL},
};
static struct PyModuleDef def = {
    PyModuleDef_HEAD_INIT, .m_name = "NAME", .m_slots = slots};
PyMODINIT_FUNC PyInit_NAME(void) { return PyModuleDef_Init(&def); }
"""


@pytest.fixture(autouse=True)
def _untold(interpreters, fresh_interpreters, monkeypatch):
    monkeypatch.setattr(refusals, "_told", set())


@pytest.fixture
def warnings_of(caplog):
    """The warnings that the log got."""
    caplog.set_level(logging.WARNING, "runtime")
    return lambda: [r.getMessage() for r in caplog.records if r.name == "runtime"]


@pytest.fixture
def write_module(tmp_path, monkeypatch):
    """Write a module that workers of pools find that are opened afterwards."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(name, text):
        (tmp_path / f"{name}.py").write_text(text)
        importlib.invalidate_caches()
        return tmp_path

    return write


@pytest.fixture
def build_extension(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)

    def build(name, source):
        compiler, include = shutil.which("cc"), sysconfig.get_path("include")
        source_file = tmp_path / f"{name}.c"
        source_file.write_text(source.replace("NAME", name))
        target = tmp_path / (name + sysconfig.get_config_var("EXT_SUFFIX"))
        command = [compiler, "-shared", "-fPIC", f"-I{include}", source_file]
        try:
            subprocess.run([*command, "-o", target], check=True, capture_output=True)
        except (TypeError, subprocess.CalledProcessError):
            pytest.skip("there is no C compiler, or no header of Python")
        importlib.invalidate_caches()

    return build


def open_pool(count=1, **options):
    return runtime.open_worker_pool(
        count, backend="interpreters", name="test", **options
    )


async def call(pool, fn):
    return await pool.spawn_cpu_work(fn)


async def batch(pool, fn):
    return (await pool.spawn_parallel_batch([0], fn))[0]


async def mapping(pool, fn):
    async with pool.map(fn, [0]) as results:
        (result,) = [result async for result in results]
        return result


@pytest.mark.parametrize("way", [call, batch, mapping])
async def test_a_refusal_that_is_swallowed_is_told(way, write_module, warnings_of):
    write_module("has_fallback", FALLBACK)
    import has_fallback

    assert has_fallback.is_fast()
    async with open_pool() as pool:
        assert pool.statistics().refused_modules == ()
        assert await way(pool, has_fallback.is_fast) is False
        assert pool.statistics().refused_modules == (REFUSED,)
    (told,) = warnings_of()
    assert "pool 'test'" in told
    assert NOTE in told
    assert "backend='threads'" in told
    del importlib.sys.modules["has_fallback"]


async def test_the_log_is_told_once_but_each_pool_counts(write_module, warnings_of):
    write_module("has_fallback", FALLBACK)
    for _ in range(2):
        async with open_pool(2) as pool, trio.open_nursery() as nursery:
            for _ in range(6):
                nursery.start_soon(pool.spawn_cpu_work, jobs.imports, "has_fallback")
            await pool.spawn_cpu_work(jobs.imports, "has_fallback")
            assert pool.statistics().refused_modules == (REFUSED,)
    assert len(warnings_of()) == 1


@pytest.mark.parametrize("option", ["preload", "initializer"])
async def test_what_prepares_a_worker_is_heard_too(option, write_module, warnings_of):
    write_module("has_fallback", FALLBACK)
    options = {
        "preload": {"preload": ["has_fallback"]},
        "initializer": {"initializer": jobs.imports, "initargs": ("has_fallback",)},
    }[option]
    async with open_pool(**options) as pool:
        await pool.spawn_cpu_work(jobs.double, 1)
        assert pool.statistics().refused_modules == (REFUSED,)
    assert len(warnings_of()) == 1


async def test_every_interpreter_of_a_worker_is_heard(write_module):
    """The next one refuses again, and the names stay."""
    write_module("has_fallback", FALLBACK)
    async with open_pool(max_jobs_per_worker=1) as pool:
        for _ in range(3):
            await pool.spawn_cpu_work(jobs.imports, "has_fallback")
        assert pool.statistics().refused_modules == (REFUSED,)


async def test_what_the_standard_library_does_without_is_not_told(
    write_module, warnings_of
):
    """It has no slower code for it: an error is formatted, a debugger is imported."""
    write_module("mistaken", "def mistake(): return (1).nothing")
    import mistaken

    async with open_pool() as pool:
        with pytest.raises(AttributeError):
            await pool.spawn_cpu_work(mistaken.mistake)
        await pool.spawn_cpu_work(jobs.imports, "pdb")
        assert pool.statistics().refused_modules == ()
    assert warnings_of() == []
    del importlib.sys.modules["mistaken"]


async def test_threads_refuse_nothing(write_module, warnings_of):
    write_module("has_fallback", FALLBACK)
    async with runtime.open_worker_pool(1, backend="threads") as pool:
        await pool.spawn_cpu_work(jobs.imports, "has_fallback")
        assert pool.statistics().refused_modules == ()
    assert warnings_of() == []


async def test_an_import_that_fails_otherwise_is_not_told(
    write_module, tmp_path, warnings_of
):
    write_module("broken", "import no_such_module")
    (tmp_path / "no_elf.so").write_bytes(b"no library")
    async with open_pool() as pool:
        for name in ("broken", "no_elf", "no_such_module"):
            with pytest.raises(ImportError) as info:
                await pool.spawn_cpu_work(jobs.imports, name)
            assert not hasattr(info.value, "__notes__")
        await pool.spawn_cpu_work(jobs.imports, "json")
        assert pool.statistics().refused_modules == ()
    assert warnings_of() == []


async def test_the_error_itself_names_the_way_out():
    async with open_pool() as pool:
        with pytest.raises(ImportError) as info:
            await pool.spawn_cpu_work(jobs.imports, REFUSED)
    assert info.value.__notes__ == [NOTE]
    assert info.value.name == REFUSED
    assert str(info.value.__cause__).count("  File ") == 1  # the job's own


@pytest.mark.parametrize(
    "what",
    [
        "ImportError('a long story') from error",
        "ImportError('a long story') from None",
        "ImportError('a long story')",
        "RuntimeError('a long story') from error",
    ],
)
async def test_an_error_made_of_it_names_the_way_out(what, write_module):
    write_module("explains", EXPLAINS.format(what=what))
    async with open_pool() as pool:
        with pytest.raises((ImportError, RuntimeError), match="a long story") as info:
            await pool.spawn_cpu_work(jobs.imports, "explains")
    assert info.value.__notes__ == [NOTE]


async def test_a_function_whose_module_needs_it_names_the_way_out(write_module):
    write_module("needs", f"import {REFUSED}\ndef f(): pass")
    import needs

    async with open_pool() as pool:
        with pytest.raises(runtime.CrossingError, match=re.escape(advice())):
            await pool.spawn_cpu_work(needs.f)
        assert pool.statistics().refused_modules == (REFUSED,)
    del importlib.sys.modules["needs"]


@pytest.mark.parametrize("source", [SINGLE_PHASE, ONE_INTERPRETER])
async def test_an_extension_that_refuses_is_counted(
    source, build_extension, warnings_of
):
    """Here the error tells, so the log does not."""
    build_extension("refuses", source)
    async with open_pool() as pool:
        with pytest.raises(ImportError) as info:
            await pool.spawn_cpu_work(jobs.imports, "refuses")
        assert pool.statistics().refused_modules == ("refuses",)
    assert info.value.__notes__ == [way_out_of_module("refuses")]
    assert warnings_of() == []


async def test_what_an_error_told_is_logged_once_it_is_silent(
    write_module, warnings_of
):
    write_module("has_fallback", FALLBACK)
    async with open_pool() as pool:
        for _ in range(2):
            with pytest.raises(ImportError):
                await pool.spawn_cpu_work(jobs.imports, REFUSED)
        assert warnings_of() == []
        assert pool.statistics().refused_modules == (REFUSED,)
        await pool.spawn_cpu_work(jobs.imports, "has_fallback")
    assert len(warnings_of()) == 1


def test_a_module_can_be_tried(write_module):
    write_module("has_fallback", FALLBACK)
    find = refusals.modules_refused_by_importing
    assert find("has_fallback") == ((REFUSED,), None)
    names, error = find(REFUSED)
    assert names == (REFUSED,)
    assert error.startswith("ImportError: ")
    assert find("json") == ((), None)
    assert find("no_such_module")[0] == ()
