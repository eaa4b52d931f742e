"""The native core in a process of its own: choice, interpreters, fork, the end."""

import os
import subprocess
import sys
import textwrap

import pytest


def python(code, **environment):
    """Run a script in a new interpreter."""
    return subprocess.run(
        [sys.executable, "-P", "-X", "faulthandler", "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **environment},
    )


def said(code, **environment):
    result = python(code, **environment)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


SHOW = "import runtime.lowlevel; print(runtime.lowlevel.core)"


ABSENT = "import sys; sys.modules['runtime._native.scheduler'] = None\n"


def test_core_is_what_the_environment_says(native):
    assert said(SHOW, RUNTIME_CORE="python") == "python"
    assert said(SHOW, RUNTIME_CORE="native") == "native"


def test_core_is_native_where_it_was_built(native):
    assert said(SHOW, RUNTIME_CORE="") == "native"


def test_core_is_python_where_native_was_not_built():
    assert said(ABSENT + SHOW, RUNTIME_CORE="") == "python"


def test_core_of_another_name_is_refused():
    result = python(SHOW, RUNTIME_CORE="rust")
    assert "RUNTIME_CORE must be 'python' or 'native', not 'rust'" in result.stderr


def test_core_that_was_not_built_says_what_to_do():
    result = python(ABSENT + SHOW, RUNTIME_CORE="native")
    assert "the native core was not built: reinstall" in result.stderr
    assert "or unset RUNTIME_CORE" in result.stderr


def test_import_keeps_the_gil_off(native):
    code = "import sys, runtime._native.scheduler; print(sys._is_gil_enabled())"
    assert said(code) == str(sys._is_gil_enabled())


def test_import_in_an_interpreter_with_its_own_gil(native):
    """Each interpreter gets types of its own."""
    code = """
        try:
            import _interpreters
        except ImportError:
            import _xxsubinterpreters as _interpreters
        import runtime._native.scheduler
        made = _interpreters.create("isolated")
        error = _interpreters.exec(made, '''if True:
            from runtime._native import scheduler
            latch = scheduler.Latch()
            latch.set()
            assert latch.wait(1) and scheduler.current_worker() is None
        ''')
        print(error)
        _interpreters.destroy(made)
    """
    assert said(code) == "None"


POOL = """
    import contextvars, os, sys, threading, time
    from runtime._native import scheduler

    def open_pool():
        registry = scheduler.Registry(2, spin_rounds=5)
        registry.start()
        return registry

    def run(registry, fn, *args):
        left = scheduler.Latch()
        job = scheduler.Job(fn, args, contextvars.copy_context(), sink=left.set)
        registry.inject(job)
        assert left.wait(20)
        return job.outcome.unwrap()

    registry = open_pool()
"""


@pytest.mark.parametrize("state", ["asleep", "busy", "joining"])
def test_end_of_the_process_with_running_workers(native, state):
    work = {
        "asleep": "pass",
        "busy": "while True: pass",
        "joining": "scheduler.join(lambda: time.sleep(60), lambda: time.sleep(60))",
    }
    code = (
        POOL
        + f"""
    def work():
        {work[state]}

    job = scheduler.Job(work, (), contextvars.copy_context())
    registry.inject(job)
    while job.phase == scheduler.QUEUED:
        pass
    print("end")
    """
    )
    assert said(code) == "end"


def test_fork_leaves_the_child_able_to_open_a_pool(native):
    code = (
        POOL
        + """
    import warnings
    warnings.simplefilter("ignore")
    assert run(registry, divmod, 7, 2) == (3, 1)
    child = os.fork()
    if child == 0:
        os._exit(run(open_pool(), lambda: 42))
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """
    )
    assert said(code) == "42"
