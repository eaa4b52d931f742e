"""The build of an interpreter: once, whole or not at all.

The source is a small tarball of ours, whose `configure` and `make` are shell
scripts that make a stand-in for an interpreter.
"""

import hashlib
import os
import signal
import subprocess
import sys
import tarfile
import time
from types import SimpleNamespace

import pytest

pytestmark = pytest.mark.thread_unsafe  # the process has one environment

GOOD_FACTS = (
    '{"name": "cpython", "version": "3.13.9", "free_threaded": true,'
    ' "gil": false, "missing": []}'
)

# What `make install DESTDIR=...` of the stand-in does.
INSTALL = f"""
[ "$1" = install ] || exit 0
bin=${{2#DESTDIR=}}$(cat prefix)/bin
mkdir -p "$bin"
printf '#!/bin/sh\\necho '"'"'{GOOD_FACTS}'"'" > "$bin/python3"
chmod +x "$bin/python3"
"""

CONFIGURE = """#!/bin/sh
for word; do case "$word" in --prefix=*) echo "${word#--prefix=}" > prefix ;; esac; done
"""

# Runs `dev` with another set of pins and another apt-helper.
DRIVER = """
import sys
sys.path.insert(0, {tests!r})
from conftest import load_dev
dev = load_dev()
dev.PINS = {pins!r}
dev.APT_HELPER = {helper!r}
dev.COMMANDS["build"] = lambda args: dev.build("3.13t")
sys.exit(dev.main(["build"]))
"""


@pytest.fixture
def machine(dev, world, system_path, tmp_path, monkeypatch):
    """A machine with a compiler, an archive with one release, and a log of both."""
    tarball = tmp_path / "archive.tar"
    configure = tmp_path / "configure"
    configure.write_text(CONFIGURE)
    configure.chmod(0o755)
    with tarfile.open(tarball, "w") as tar:
        tar.add(configure, "Python-3.13.9/configure")
    fetches = tmp_path / "fetches"
    helper = world.script(
        tmp_path / "apt-helper", f'echo "$2" >> {fetches}\ncat {tarball} > "$3"\n'
    )
    world.script(world.bin / "apt-get", "echo http://archive.invalid/\n")
    world.script(world.bin / "cc", "exit 0\n")
    world.script(world.bin / "make", INSTALL)
    pins = {"3.13": [("3.13.9", hashlib.sha256(tarball.read_bytes()).hexdigest())]}
    monkeypatch.setattr(dev, "PINS", pins)
    monkeypatch.setattr(dev, "APT_HELPER", str(helper))
    driver = tmp_path / "driver.py"
    driver.write_text(
        DRIVER.format(tests=os.path.dirname(__file__), pins=pins, helper=str(helper))
    )
    return SimpleNamespace(
        pins=pins["3.13"],
        fetches=fetches,
        helper=helper,
        tarball=tarball,
        driver=driver,
    )


def entries(directory):
    return sorted(path.name for path in directory.iterdir())


def open_for_reader(path, process):
    """Open a named pipe for writing once the process reads it."""
    deadline = time.monotonic() + 30
    while True:
        try:
            return open(os.open(path, os.O_WRONLY | os.O_NONBLOCK), "w")
        except OSError:  # nobody there yet
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < deadline
            time.sleep(0.01)


def start_driver(machine):
    return subprocess.Popen(
        [sys.executable, machine.driver], stderr=subprocess.PIPE, text=True
    )


def test_build_gives_the_complete_result_its_name(dev, world, machine):
    python = dev.build("3.13t")
    assert python.path == world.pythons / "3.13.9t/bin/python3"
    assert python.kind == "3.13t"
    assert entries(world.pythons) == ["3.13.9t"]
    assert dev.find_python("3.13t") == python


def test_build_failed_leaves_nothing_and_shows_the_end_of_the_log(dev, world, machine):
    world.script(world.bin / "make", "echo no rule for this; exit 3\n")
    with pytest.raises(dev.Problem, match=r"compile failed(.|\n)*no rule for this"):
        dev.build("3.13t")
    assert entries(world.pythons) == []


def test_build_of_no_use_is_not_installed(dev, world, machine):
    bad = INSTALL.replace('"gil": false', '"gil": true')
    world.script(world.bin / "make", bad)
    with pytest.raises(dev.Problem, match="its GIL is on"):
        dev.build("3.13t")
    assert entries(world.pythons) == []


def test_build_removes_what_a_killed_run_left(dev, world, machine):
    left = world.pythons / ".staging-3.13t" / "source"
    left.mkdir(parents=True)
    (left / "configure").write_text("from a killed run")
    dev.build("3.13t")
    assert entries(world.pythons) == ["3.13.9t"]


def test_build_without_disk_space_says_how_much_it_needs(
    dev, world, machine, monkeypatch
):
    usage = SimpleNamespace(free=700_000_000)
    monkeypatch.setattr(dev.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(dev.Problem, match=r"takes 1.5 GB .* has 0.7 GB free"):
        dev.build("3.13t")
    assert not machine.fetches.exists()


def test_build_without_headers_tells_a_user_what_to_install(
    dev, world, machine, monkeypatch
):
    world.script(world.bin / "cc", "! grep -q ffi.h\n")
    monkeypatch.setattr(dev.os, "geteuid", lambda: 1000)
    with pytest.raises(dev.Problem, match=r"sudo apt-get install .* libffi-dev$"):
        dev.build("3.13t")


def test_build_without_headers_installs_them_as_root(dev, world, machine, monkeypatch):
    world.script(world.bin / "cc", "! grep -q ffi.h\n")
    called = world.bin.parent / "apt-get-called"
    world.script(
        world.bin / "apt-get",
        f'echo "$@" >> {called}\necho http://archive.invalid/\n',
    )
    monkeypatch.setattr(dev.os, "geteuid", lambda: 0)
    dev.build("3.13t")
    update, install, *_ = called.read_text().splitlines()
    assert update == "update"
    assert install == "install -y --no-install-recommends libffi-dev"


def test_fetch_wrong_checksum_is_deleted_and_never_used(dev, world, machine):
    machine.pins[0] = ("3.13.9", "0" * 64)
    with pytest.raises(dev.Problem, match="wrong checksum"):
        dev.build("3.13t")
    assert entries(world.cache / "downloads") == []
    assert entries(world.pythons) == []


def test_fetch_takes_the_next_pin_when_one_is_gone(dev, world, machine, capfd):
    machine.pins.insert(0, ("3.13.99", "0" * 64))
    helper = machine.helper.read_text().removeprefix("#!/bin/sh\n")
    world.script(machine.helper, 'case "$2" in *3.13.99*) exit 100 ;; esac\n' + helper)
    assert dev.build("3.13t").version == "3.13.9"
    assert "Using the source of CPython 3.13.9." in capfd.readouterr().err


def test_fetch_without_network_says_what_else_to_do(dev, world, machine):
    world.script(machine.helper, "echo E: Could not resolve; exit 100\n")
    with pytest.raises(dev.Problem) as caught:
        dev.build("3.13t")
    assert "Could not resolve" in str(caught.value)
    assert "uv python install 3.13t" in str(caught.value)
    assert entries(world.cache / "downloads") == []


def test_fetch_keeps_the_tarball_for_the_second_build(dev, world, machine):
    dev.build("3.13t")
    dev.remove(world.pythons / "3.13.9t")
    dev.build("3.13t")
    assert len(machine.fetches.read_text().splitlines()) == 1


def test_fetch_replaces_a_damaged_tarball(dev, world, machine):
    dev.build("3.13t")
    dev.remove(world.pythons / "3.13.9t")
    (kept,) = (world.cache / "downloads").iterdir()
    kept.write_bytes(b"damaged")
    dev.build("3.13t")
    assert kept.read_bytes() == machine.tarball.read_bytes()


def test_build_twice_at_once_builds_once(world, machine, tmp_path):
    """The second run waits for the lock and then finds the result.

    1. The first run's `make` reports that it runs and waits for a line.
    2. The second run says that it waits.
    3. `make` gets its line; both runs end well, and `make` has run once.
    """
    gate, ran = tmp_path / "gate", tmp_path / "ran"
    os.mkfifo(gate)
    wait = f'[ "$1" = install ] || {{ echo x >> {ran}; read line < {gate}; }}\n'
    world.script(world.bin / "make", wait + INSTALL)
    first = start_driver(machine)
    with open_for_reader(gate, first) as opened:
        second = start_driver(machine)
        said = second.stderr.readline()
        opened.write("go\n")
    first_said = first.communicate(timeout=60)[1]
    second.communicate(timeout=60)
    assert said == "Another ./dev is building Python 3.13t; waiting for it to finish.\n"
    assert (first.returncode, second.returncode) == (0, 0), first_said
    assert ran.read_text() == "x\n"


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
)
def test_build_interrupted_leaves_neither_files_nor_processes(
    world, machine, tmp_path, number, status
):
    """`make` and its child read a pipe; writing fails once both are gone."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    hold = f"exec 3< {gate}\n(read line <&3) &\nread line <&3\n"
    world.script(world.bin / "make", hold)
    process = start_driver(machine)
    with open_for_reader(gate, process) as held:
        process.send_signal(number)
        said = process.communicate(timeout=60)[1]
        with pytest.raises(BrokenPipeError):
            os.write(held.fileno(), b"still there?\n")
    assert process.returncode == status, said
    assert "Traceback" not in said
    assert entries(world.pythons) == []


def test_command_interrupted_as_it_starts_is_ended(dev, world, tmp_path, monkeypatch):
    """The signal comes when the command runs and its starter has no name for it."""
    started = []

    class Popen(subprocess.Popen):
        def __init__(self, *args, **options):
            super().__init__(*args, **options)
            started.append(self)
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(dev.subprocess, "Popen", Popen)
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    command = [world.script(world.bin / "wait", f"read line < {gate}\n")]
    with pytest.raises(KeyboardInterrupt):
        dev.run_logged(
            command, tmp_path / "log", dev.Progress("test"), dev.Stage("wait")
        )
    assert started[0].poll() == -signal.SIGTERM
