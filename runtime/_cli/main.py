"""The sub-commands, their options, and how they end.

Exit codes: 0 all went well; 1 some items failed; 2 bad usage, or input or output
that cannot be used; 130 interrupted. A closed pipe on standard output (``| head``) is
an ordinary end.

Layer: cli. Commands are imported when they run.
"""

import argparse
import importlib
import sys
from collections.abc import Sequence

from .._environment import EnvironmentVariableError
from .._errors import BackendUnavailableError
from .._version import __version__
from .codec import FORMATS
from .console import discard_stdout, say
from .exits import INTERRUPTED, OK, UNUSABLE, CommandError

__all__ = ("main",)

_EXIT_CODES = (
    "exit codes: 0 all went well, 1 some items failed, 2 bad usage, "
    "input or output, "
    "130 interrupted"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    name = "runtime"
    try:
        parsed = _parse(sys.argv[1:] if arguments is None else arguments)
        name = f"runtime {parsed.command}"
        command = importlib.import_module(f".{parsed.command}", __package__)
        code: int = command.run(parsed)
        return code
    except (CommandError, BackendUnavailableError, EnvironmentVariableError) as error:
        say(f"{name}: {error}")
        return UNUSABLE
    except BrokenPipeError:  # from `show`; the reader has what it wanted
        discard_stdout()
        return OK
    except KeyboardInterrupt:
        return INTERRUPTED


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the command and its options, in whatever order they were given.

    Each command parses its own options: sub-parsers cannot take options between
    positional arguments, and argparse of CPython 3.13.0 refuses them there.
    """
    parser, commands = _parsers()
    command = commands.choices.get(arguments[0]) if arguments else None
    if command is None:
        return parser.parse_args(arguments)
    options = argparse.Namespace(command=arguments[0])
    return command.parse_intermixed_args(arguments[1:], options)


def _parsers() -> "tuple[argparse.ArgumentParser, _Commands]":
    parser = argparse.ArgumentParser(
        prog="python -m runtime",
        description="CPU-bound work on all cores, under Trio.",
        epilog=_EXIT_CODES,
    )
    parser.add_argument(
        "--version", action="version", version=f"trio-runtime {__version__}"
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_map(commands)
    _add_demo(commands)
    _add_doctor(commands)
    return parser, commands


type _Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001  # no public name


def _add_map(commands: _Commands) -> None:
    command = commands.add_parser(
        "map",
        help="call a function for every line of the input, on all cores",
        description="Call a function for every line of FILES, or of standard input, "
        "on all cores, and write each result as a line, in input order. A result of "
        "None writes nothing. Modules in the current directory can be imported.",
        epilog=_EXIT_CODES,
    )
    command.add_argument(
        "callable", metavar="MODULE:CALLABLE", help="what to call, e.g. json:loads"
    )
    command.add_argument(
        "paths",
        metavar="FILE",
        nargs="*",
        default=(),  # else it is listed among what is required
        help="input; - is standard input (default)",
    )
    command.add_argument(
        "--files",
        action="store_true",
        help="give the function the file names themselves, not their lines",
    )
    command.add_argument(
        "--input",
        choices=FORMATS,
        help="what the input is: lines of text (default), a JSON value per line, or "
        "text between NUL bytes, as from find -print0",
    )
    command.add_argument(
        "--output",
        choices=FORMATS,
        default=FORMATS[0],
        help="how results are written: as text in lines (default), as JSON lines, or "
        "as text ended by NUL bytes",
    )
    command.add_argument(
        "--unordered", action="store_true", help="write each result when it is ready"
    )
    command.add_argument(
        "--on-error",
        choices=("stop", "skip", "report"),
        default="stop",
        help="when the function raises: stop with its traceback (default), skip the "
        "item, or report it in one line and go on",
    )
    command.add_argument(
        "--max-in-flight",
        type=_positive,
        metavar="N",
        help="most items at work or waiting to be written (default: 4096 per worker)",
    )
    _add_workers(command)
    _add_backend(command)


def _add_demo(commands: _Commands) -> None:
    command = commands.add_parser(
        "demo",
        help="measure the standard library on one core, then on all",
        description="Read, tokenise, parse and measure every module of this "
        "interpreter's standard library, on one core and then on all, and compare.",
        epilog=_EXIT_CODES,
    )
    command.add_argument(
        "--limit", type=_positive, metavar="N", help="only the N largest modules"
    )
    _add_workers(command)
    _add_backend(command)


def _add_doctor(commands: _Commands) -> None:
    command = commands.add_parser(
        "doctor",
        help="tell what this interpreter can do",
        description="Tell what this interpreter can do: build, GIL, cores, backends.",
    )
    command.add_argument(
        "--import",
        dest="imports",
        metavar="MODULE",
        action="append",
        default=[],
        help="also tell whether importing MODULE turns the GIL back on; repeatable",
    )


def _add_workers(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--workers",
        type=_positive,
        metavar="N",
        help="how many (default: the cores this process may use)",
    )


def _add_backend(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--backend",
        choices=("auto", "threads", "interpreters"),
        default="auto",
        help="how a worker runs the function (default: auto, the best there is)",
    )


def _positive(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not at least 1")
    return value
