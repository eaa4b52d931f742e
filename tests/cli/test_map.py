"""End to end: ``python -m runtime map`` as a user runs it."""

import os
import signal
import subprocess
import sys
import threading

import pytest
import trio
from helpers import environ_with_coverage

from runtime._backends import BACKENDS, why_unavailable
from runtime._cli.console import results_apart
from runtime._cli.interrupt import Interrupts
from runtime._cli.map import MapOptions, _Mapping

pytestmark = pytest.mark.slow  # starts interpreters

NO_TRACEBACK_OF_OURS = "_cli"  # in no frame that the user sees


def test_lines_of_stdin_are_mapped_in_order(run_cli):
    numbers = range(5000)
    done = run_cli("map", "user:double", text="".join(f"{n}\n" for n in numbers))

    assert done.stdout == "".join(f"{2 * n}\n" for n in numbers)
    assert (done.stderr, done.returncode) == ("", 0)


def test_files_and_stdin_are_read_one_after_the_other(run_cli, user_directory):
    (user_directory / "a").write_text("1\n2")
    (user_directory / "b").write_text("3\n")

    done = run_cli("map", "user:same", "a", "-", "b", text="stdin\n")

    assert done.stdout == "1\n2\nstdin\n3\n"


def test_no_input_gives_no_output(run_cli):
    done = run_cli("map", "user:same", text="")

    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


def test_files_option_gives_the_function_the_names(run_cli, user_directory):
    (user_directory / "a").write_text("1234")
    (user_directory / "b c").write_text("")

    done = run_cli("map", "--files", "user:size", "a", "b c")

    assert (done.stdout, done.returncode) == ("4\n0\n", 0)


def test_none_writes_nothing(run_cli):
    assert run_cli("map", "user:only_even", text="1\n2\n3\n4\n").stdout == "2\n4\n"


def test_json_lines_go_in_as_values_and_come_out_as_json(run_cli):
    done = run_cli(
        "map", "--input", "jsonl", "--output", "jsonl", "user:same",
        text='{"a": 1}\n[2, null]\n"text"\n',
    )  # fmt: skip
    assert done.stdout == '{"a": 1}\n[2, null]\n"text"\n'
    assert (done.stderr, done.returncode) == ("", 0)


def test_line_that_is_not_json_is_a_failed_item(run_cli):
    done = run_cli(
        "map", "--input", "jsonl", "--on-error", "report", "user:same",
        text="1\n{\n2\n",
    )  # fmt: skip
    assert done.stdout == "1\n2\n"
    assert "runtime map: stdin:2: JSONDecodeError: " in done.stderr


def test_result_that_is_not_json_is_a_failed_item(run_cli):
    done = run_cli(
        "map", "--output", "jsonl", "--on-error", "report", "builtins:set",
        text="ab\n",
    )  # fmt: skip
    assert (done.stdout, done.returncode) == ("", 1)
    assert "runtime map: stdin:1: TypeError: " in done.stderr


def test_nul_separates_items_that_hold_line_breaks(run_cli):
    done = run_cli(
        "map", "--input", "nul", "--output", "nul", "user:same", text="a\nb\0c\0"
    )
    assert done.stdout == "a\nb\0c\0"


def test_unordered_writes_every_result_once(run_cli):
    numbers = [str(n) for n in range(2000)]
    done = run_cli("map", "--unordered", "user:same", text="\n".join(numbers))

    assert sorted(done.stdout.splitlines()) == sorted(numbers)


@pytest.mark.parametrize("max_in_flight", ["1", "3", "100"])
def test_any_bound_gives_the_same(run_cli, max_in_flight):
    numbers = "".join(f"{n}\n" for n in range(500))
    done = run_cli("map", "user:same", "--max-in-flight", max_in_flight, text=numbers)

    assert done.stdout == numbers


# Items that fail


def test_stop_tells_item_place_and_the_users_frames_only(run_cli):
    done = run_cli("map", "user:deep", text="1\n0\n1\n")

    assert (done.stdout, done.returncode) == ("1\n", 1)
    lines = done.stderr.splitlines()
    assert lines[0] == "runtime map: item 2 (stdin:2) failed"
    assert lines[-1].startswith("ZeroDivisionError: ")
    assert "in deep\n" in done.stderr
    assert "in deeper\n" in done.stderr
    assert NO_TRACEBACK_OF_OURS not in done.stderr


def test_stop_writes_all_results_before_the_failure(run_cli):
    ones = "1\n" * 3000
    done = run_cli("map", "user:deep", text=ones + "0\n" + ones)

    assert done.stdout == ones
    assert "item 3,001 (stdin:3001)" in done.stderr


def test_report_tells_each_failure_in_a_line_and_goes_on(run_cli, user_directory):
    (user_directory / "numbers").write_text("1\n0\nx\n2\n")

    done = run_cli("map", "--on-error", "report", "user:deep", "numbers")

    assert (done.stdout, done.returncode) == ("1\n0\n", 1)
    first, second, summary = done.stderr.splitlines()
    assert first.startswith("runtime map: numbers:2: ZeroDivisionError: ")
    assert second.startswith("runtime map: numbers:3: ValueError: invalid literal")
    assert summary == "runtime map: 2 of 4 items failed"


def test_skip_tells_the_count_only(run_cli):
    done = run_cli("map", "--on-error", "skip", "user:deep", text="1\n0\n1\n")

    assert (done.stdout, done.returncode) == ("1\n1\n", 1)
    assert done.stderr == "runtime map: 1 of 3 items failed\n"


def test_line_that_is_not_utf8_is_a_failed_item(run_cli, user_directory):
    (user_directory / "bytes").write_bytes(b"a\n\xff\nb\n")

    done = run_cli("map", "--on-error", "report", "user:same", "bytes")

    assert done.stdout == "a\nb\n"
    assert "runtime map: bytes:2: UnicodeDecodeError: " in done.stderr


def test_undecodable_line_stops_without_our_frames(run_cli, user_directory):
    (user_directory / "bytes").write_bytes(b"\xff\n")

    done = run_cli("map", "user:same", "bytes")

    assert done.returncode == 1
    assert "UnicodeDecodeError: " in done.stderr
    assert NO_TRACEBACK_OF_OURS not in done.stderr


def test_result_without_text_is_a_failed_item(run_cli):
    done = run_cli("map", "user:unprintable", text="a\n")

    assert done.returncode == 1
    assert done.stderr.endswith("ValueError: no text\n")
    assert NO_TRACEBACK_OF_OURS not in done.stderr


def test_function_that_exits_is_a_failed_item(run_cli):
    done = run_cli("map", "--on-error", "report", "user:leave", text="7\n8\n")

    assert done.returncode == 1
    assert "runtime map: stdin:2: SystemExit: 8" in done.stderr


# What cannot be used: one line, exit code 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["user"], "'user' is not MODULE:CALLABLE; write for example json:loads"),
        (["nope:f"], "there is no module 'nope'"),
        (["user:doubel"], "'user' has no 'doubel'; did you mean 'double'?"),
        (["user:not_callable"], "user:not_callable is not callable"),
        (["user:later"], "user:later is an async function"),
        (["user:same", "nope.txt"], "cannot read nope.txt: No such file"),
        (["user:same", "."], "cannot read .: it is a directory"),
        (["--files", "user:size", "nope.txt"], "cannot read nope.txt: No such file"),
        (["--files", "user:size"], "--files needs at least one file"),
        (["user:same", "/proc/self/mem"], "cannot read /proc/self/mem: Input/output"),
    ],
)
def test_unusable_input_is_one_line_and_2(run_cli, arguments, message):
    done = run_cli("map", *arguments)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("runtime map: ")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import os\nraise ValueError('a\\nb')\n", "broken.py:2: ValueError: a b"),
        ("def f(:\n", "broken.py:1: SyntaxError: "),
        ("import missing_one\n", "broken.py:1: ModuleNotFoundError: "),
        ("import sys\nsys.exit('no')\n", "broken.py:2: SystemExit: no"),
    ],
)
def test_module_that_fails_to_import_is_one_line_and_2(
    run_cli, user_directory, source, message
):
    (user_directory / "broken.py").write_text(source)

    done = run_cli("map", "broken:f")

    assert done.returncode == 2
    assert done.stderr.startswith("runtime map: importing broken failed at ")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_input_that_breaks_off_still_writes_what_was_read(run_cli, user_directory):
    (user_directory / "a").write_text("1\n2\n")

    done = run_cli("map", "user:same", "a", "/proc/self/mem")

    assert (done.stdout, done.returncode) == ("1\n2\n", 2)


def test_full_output_is_one_line_and_2(user_directory):
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "runtime", "map", "user:same"],
            cwd=user_directory,
            input=b"a\n",
            stdout=full,
            stderr=subprocess.PIPE,
            env=environ_with_coverage(),
            timeout=60,
        )

    assert done.returncode == 2
    assert done.stderr == (
        b"runtime map: cannot write results: No space left on device\n"
    )


# Pipes


def test_slow_producer_sees_each_result_before_it_goes_on(start_cli):
    child = start_cli("map", "user:double")

    for number in range(20):
        child.stdin.write(b"%d\n" % number)
        child.stdin.flush()
        assert child.stdout.readline() == b"%d\n" % (2 * number)
    assert child.communicate() == (b"", b"")
    assert child.returncode == 0


def test_closed_output_ends_endless_input_quietly(start_cli):
    child = start_cli("map", "user:same")
    feeder = _feed_for_ever(child)

    assert child.stdout.readline() == b"y\n"
    child.stdout.close()
    assert child.wait() == 0
    feeder.join()
    assert child.stderr.read() == b""


def test_what_the_function_prints_is_said_after_closed_output(start_cli):
    buffered = {**environ_with_coverage(), "PYTHONUNBUFFERED": ""}
    child = start_cli("map", "user:loud", env=buffered)
    child.stdin.write(b"a\n")
    child.stdin.flush()
    assert child.stdout.readline() == b"a\n"
    child.stdout.close()
    _, errors = child.communicate(b"b\n")

    assert (child.returncode, errors) == (0, b"loud\nloud\n")


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_functions_print_stays_out_of_results(run_cli, backend):
    """Whichever way it is printed, and however full the pipe is."""
    if (reason := why_unavailable(backend)) is not None:
        pytest.skip(reason)
    done = run_cli(
        "map", "--backend", backend, "user:loud_everywhere", text="R\n" * 100
    )

    assert done.stdout == ("R" * 1000 + "\n") * 100
    assert done.stderr.count("loud") == 300


def test_generators_items_are_results(run_cli):
    done = run_cli("map", "user:words", text="a b\n\nc\n")

    assert (done.stdout, done.returncode) == ("a\nb\nc\n", 0)


def test_generator_that_fails_is_a_failed_item_without_output(run_cli):
    done = run_cli("map", "--on-error", "report", "user:words", text="a\nb !\nc\n")

    assert (done.stdout, done.returncode) == ("a\nc\n", 1)
    assert done.stderr.startswith("runtime map: stdin:2: ValueError: no word\n")


def test_async_function_that_does_not_look_like_one_fails_its_items(run_cli):
    done = run_cli("map", "--on-error", "report", "user:unwrapped", text="a\n")

    assert (done.stdout, done.returncode) == ("", 1)
    assert done.stderr.startswith("runtime map: stdin:1: TypeError: the function is ")


@pytest.mark.parametrize(
    ("spec", "module"),
    [("user.py:same", "user"), ("./user.py:same", "user"), ("a/b.py:same", "a.b")],
)
def test_file_instead_of_a_module_is_told_its_name(run_cli, spec, module):
    done = run_cli("map", spec)

    assert (done.stdout, done.returncode) == ("", 2)
    assert done.stderr == (
        f"runtime map: {spec!r} names a file; give its module: {module}:same\n"
    )


# A coverage tool's own extension is refused in a worker as well, and it says so.
WITHOUT_COVERAGE = dict(os.environ)


@pytest.fixture
def refused(user_directory, interpreters):
    """Modules that need one which no interpreter but the main one takes."""
    pytest.importorskip("readline")
    (user_directory / "at_top.py").write_text(
        "import readline\ndef fn(line): return line.upper()\n"
    )
    (user_directory / "inside.py").write_text("def fn(line): import readline\n")


def test_module_that_interpreters_refuse_is_one_line_and_2(run_cli, refused):
    done = run_cli(
        "map", "--backend", "interpreters", "at_top:fn", text="a\nb\n",
        env=WITHOUT_COVERAGE,
    )  # fmt: skip

    assert (done.stdout, done.returncode) == ("", 2)
    assert done.stderr == (
        "runtime map: a worker cannot import at_top:fn: ImportError: module readline "
        "does not support loading in subinterpreters; give --backend threads\n"
    )
    assert run_cli("map", "--backend", "threads", "at_top:fn", text="a\n").stdout == (
        "A\n"
    )


@pytest.mark.parametrize("on_error", ["stop", "report"])
def test_module_refused_inside_the_function_tells_the_way_out(
    run_cli, refused, on_error
):
    done = run_cli(
        "map", "--backend", "interpreters", "--on-error", on_error, "inside:fn",
        text="a\n", env=WITHOUT_COVERAGE,
    )  # fmt: skip

    assert done.returncode == 1
    told = done.stderr.splitlines()[-1 if on_error == "stop" else 0]
    assert told.endswith("give --backend threads")


def test_files_and_input_contradict_each_other(run_cli):
    done = run_cli("map", "--files", "--input", "jsonl", "user:size", "user.py")

    assert (done.stdout, done.returncode) == ("", 2)
    assert done.stderr.startswith("runtime map: --files gives the function file names")


def _feed_for_ever(child):
    def feed():
        try:
            while True:
                os.write(child.stdin.fileno(), b"y\n" * 1000)
        except BrokenPipeError:
            pass

    thread = threading.Thread(target=feed, daemon=True)
    thread.start()
    return thread


def test_memory_does_not_grow_with_the_input(start_cli):
    """A million lines of an endless input must cost no more than a few."""
    few, many = (
        _peak_memory_kib(start_cli("map", "user:same"), lines)
        for lines in (10_000, 1_000_000)
    )

    assert many - few < 32 * 1024  # a million strings alone are 50 MiB


def _peak_memory_kib(child, lines):
    feeder = _feed_for_ever(child)
    for _ in range(lines):
        child.stdout.readline()
    child.stdout.close()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0
    feeder.join()
    return usage.ru_maxrss


# Ctrl-C


def test_first_interrupt_stops_and_tells_how_far_it_got(start_cli, user_directory):
    names = ["1", "2", "wait", "4", "5"]
    for name in names:
        (user_directory / name).touch()
    child = start_cli("map", "--files", "user:patient", *names)
    assert child.stdout.readline() == b"1\n"
    assert child.stdout.readline() == b"2\n"
    assert child.stderr.readline() == b"waiting\n"

    child.send_signal(signal.SIGINT)
    output, errors = child.communicate()

    assert child.returncode == 130
    assert output == b""
    assert errors.splitlines() == [
        b"runtime map: stopping; Ctrl-C again ends at once",
        b"runtime map: stopped after 2 of 5 items",
    ]


def test_interrupt_while_waiting_for_input_stops(start_cli):
    child = start_cli("map", "user:same")
    child.stdin.write(b"a\n")
    child.stdin.flush()
    assert child.stdout.readline() == b"a\n"

    child.send_signal(signal.SIGINT)
    assert child.wait() == 130
    assert child.stderr.read().splitlines()[-1] == (
        b"runtime map: stopped after 1 item"
    )


def test_second_interrupt_ends_at_once(start_cli):
    child = start_cli("map", "user:stuck")
    child.stdin.write(b"stuck\n")
    child.stdin.flush()
    assert child.stderr.readline() == b"stuck\n"

    child.send_signal(signal.SIGINT)
    assert b"stopping" in child.stderr.readline()
    assert child.poll() is None  # it waits for the running item
    child.send_signal(signal.SIGINT)

    assert child.wait() == 130


_IGNORING = "trap '' INT; exec \"$@\""


def test_interrupt_is_ignored_where_the_shell_ignores_it(start_cli):
    """A shell without job control starts ``command &`` with SIGINT ignored."""
    child = start_cli("map", "user:same", prefix=["sh", "-c", _IGNORING, "sh"])
    child.stdin.write(b"a\n")
    child.stdin.flush()
    assert child.stdout.readline() == b"a\n"

    child.send_signal(signal.SIGINT)
    assert child.communicate(b"b\n") == (b"b\n", b"")
    assert child.returncode == 0


def test_interrupt_as_the_loop_starts_is_not_lost(user_directory, capfd):
    numbers = user_directory / "numbers"
    numbers.write_text("1\n")
    options = MapOptions(
        callable_spec="operator:neg",
        paths=(str(numbers),),
        are_items=False,
        input_format="lines",
        output_format="lines",
        is_ordered=True,
        on_error="stop",
        worker_count=1,
        max_in_flight=1,
        backend="auto",
    )
    with Interrupts() as interrupts, results_apart() as results:
        interrupts.note_only()
        signal.raise_signal(signal.SIGINT)
        code = trio.run(_Mapping(options, interrupts, results).run)

    assert code == 130
    assert "stopped after 0 items" in capfd.readouterr().err
