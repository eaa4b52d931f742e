"""Interrupt everywhere: each call, with a Ctrl-C at each line of ours that it runs.

A program of its own, because a hang has to be ended from outside, and a Ctrl-C belongs
to the main thread::

    python every_line.py first|all BACKENDS [CASE...]

With ``first`` each line is met the first time that any of the cases comes to it, with
``all`` every time that it is run, on each backend. Says on standard output how many
there were, and on standard error which one it tries.
"""

import faulthandler
import os
import signal
import sys
import threading

import every_call
import trio

import runtime
from runtime._frontend import ctrl_c, waits

PACKAGE = os.path.dirname(runtime.__file__)
# No attempt takes this long, on a busy machine either.
PATIENCE = 60
# So many attempts that came to no such line end the search: another run may.
MISSES = 3


class PressesCtrlC:
    """Traces the lines of ours in this thread; presses Ctrl-C at one of them.

    Args:
      place: A line, met the first time it is run; or the number of one, from 1; or
        None.
    """

    def __init__(self, place):
        self.place = place
        self.seen = []
        self.pressed_at = None

    def __enter__(self):
        sys.settrace(self._trace_call)
        return self

    def __exit__(self, *_error):
        sys.settrace(None)

    def _trace_call(self, frame, _event, _argument):
        is_ours = frame.f_code.co_filename.startswith(PACKAGE)
        return self._trace_line if is_ours else None

    def _trace_line(self, frame, event, _argument):
        if event == "line" and self.pressed_at is None:
            here = frame.f_code.co_filename, frame.f_lineno
            self.seen.append(here)
            if self.place in (here, len(self.seen)):
                self.pressed_at = here
                signal.raise_signal(signal.SIGINT)
        return self._trace_line


class FirstTimes:
    """The lines that no case has come to before, each once."""

    def __init__(self, seen, done):
        self._left = [place for place in dict.fromkeys(seen) if place not in done]
        self._done = done

    def next(self):
        """Return the next line; None when there is none."""
        return self._left.pop(0) if self._left else None

    def note(self, place, pressed_at):
        """Note what became of it."""
        if pressed_at is not None:
            self._done.add(place)


class AllTimes:
    """All lines in the order in which they are run."""

    def __init__(self):
        self._next = 0
        self._last = 0

    def next(self):
        """Return the number of the next one; None when there is none."""
        self._next += 1
        return self._next if self._next <= self._last + MISSES else None

    def note(self, place, pressed_at):
        """Note what became of it."""
        if pressed_at is not None:
            self._last = place


class Sweep:
    """All attempts at one case."""

    def __init__(self, case, backend):
        self._case = case
        self._backend = backend
        self.count = 0

    def record(self):
        """Return the lines of ours, in the order in which they are run."""
        tracer = PressesCtrlC(None)
        trio.run(self._attempt_in_a_run, tracer)
        return tracer.seen

    def run(self, places):
        """Press Ctrl-C at all places."""
        self._places = places
        self._is_over = False
        while not self._is_over:
            self._tracer = None
            try:
                trio.run(self._press_in_a_run)
            except BaseException as error:
                check_is_ctrl_c(error, self._tracer)
            else:
                assert self._has_arrived, f"{self._tracer.pressed_at}: nothing came"
            check_nothing_is_left()

    async def _attempt_in_a_run(self, tracer):
        async with self._case.open(self._backend) as env:
            with tracer:
                await self._case.run(env)
        await every_call.wait_balanced(env)

    async def _press_in_a_run(self):
        """Press until a Ctrl-C has closed what was open, or all is done."""
        is_open = True
        self._has_arrived = True
        async with self._case.open(self._backend) as env:
            while is_open:
                place = self._places.next()
                if place is None:
                    self._is_over = True
                    break
                faulthandler.dump_traceback_later(PATIENCE, exit=True)
                sys.stderr.write(f"{self._backend}, {self._case.name}: {place}\n")
                self._tracer = PressesCtrlC(place)
                await self._press(env, place)
                is_open = self._case.needs != "run" and is_usable(env)
        await every_call.wait_balanced(env)

    async def _press(self, env, place):
        tracer = self._tracer
        self._has_arrived = False
        try:
            try:
                with tracer:
                    await self._case.run(env)
                await trio.lowlevel.checkpoint()
            finally:
                self._places.note(place, tracer.pressed_at)
                self.count += tracer.pressed_at is not None
        except (KeyboardInterrupt, BaseExceptionGroup) as error:
            if not is_usable(env):
                raise
            check_is_ctrl_c(error, tracer)
            self._has_arrived = True
        else:
            self._has_arrived = tracer.pressed_at is None
        if is_usable(env):
            assert self._has_arrived, f"{tracer.pressed_at}: nothing came"
            await every_call.wait_balanced(env)
            if self._case.needs in ("pool", "processor"):
                await self._case.check_works(env)


def is_usable(env):
    """Tell whether what is open was not closed by the Ctrl-C."""
    if env.processor is not None and env.processor._engine.is_closing:
        return False
    if env.pool is None:
        return True
    intake = env.pool._intake
    return not intake._nursery.cancel_scope.cancel_called and not intake.is_closing


def check_is_ctrl_c(error, tracer):
    """Raise unless an error is a Ctrl-C, or a group of one and what it has caused.

    A Ctrl-C in a hook ends the other requests, whose outcomes the caller has then.
    """
    ctrl_c, rest = error, None
    if isinstance(error, BaseExceptionGroup):
        ctrl_c, rest = error.split(KeyboardInterrupt)
        if rest is not None:
            rest = rest.split(runtime.TaskCancelled)[1]
    elif not isinstance(error, KeyboardInterrupt):
        ctrl_c = None
    if ctrl_c is None or rest is not None or not (tracer and tracer.pressed_at):
        raise error


def check_nothing_is_left():
    """Raise if a run has left something behind."""
    left = [t for t in threading.enumerate() if t.name.startswith("runtime-")]
    for thread in left:
        thread.join(PATIENCE / 2)
    assert not [t.name for t in left if t.is_alive()]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert not ctrl_c._listeners
    assert not waits._requests


def main(mode, backends, *names):
    """Sweep the cases."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    done = set()
    total = 0
    for backend in backends.split(","):
        os.environ["RUNTIME_BACKEND"] = backend
        for case in every_call.cases_of(backend):
            if not names or case.name in names:
                total += sweep(case, backend, mode, done)
    say(f"interrupt everywhere: {total} lines in all")
    faulthandler.cancel_dump_traceback_later()


def sweep(case, backend, mode, done):
    """Sweep a case; return the number of lines."""
    faulthandler.dump_traceback_later(PATIENCE, exit=True)
    sweep = Sweep(case, backend)
    sweep.run(FirstTimes(sweep.record(), done) if mode == "first" else AllTimes())
    say(f"interrupt everywhere, {backend}, {case.name}: {sweep.count} lines")
    return sweep.count


def say(line):
    """Write a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
