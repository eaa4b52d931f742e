"""Ctrl-C in a plain main thread, at each line of ours: no count and no pool is lost.

In a process of its own, since a hang has to be ended from outside.
"""

import subprocess
import sys
import textwrap

import pytest

PROGRAM = """
    import faulthandler, linecache, os, signal, sys, threading, time
    import runtime
    from runtime._iter import place

    OURS = os.path.dirname(runtime.__file__)

    def begins(frame):
        '''Return whether a block's end has not yet come to its first `try`.'''
        # Nothing can be done about a Ctrl-C there, but there is one instruction only.
        line = linecache.getline(frame.f_code.co_filename, frame.f_lineno)
        return frame.f_code.co_name == "__exit__" and line.strip() == "try:"

    class PressesCtrlC:
        '''Presses it at the k-th line of ours that this thread runs.'''

        def __init__(self, k):
            self.left, self.at = k, None

        def trace(self, frame, event, _arg):
            if not frame.f_code.co_filename.startswith(OURS):
                return None
            if event == "line" and self.left >= 0 and not begins(frame):
                self.left -= 1
                if self.left < 0:
                    self.at = frame.f_code.co_filename, frame.f_lineno
                    signal.raise_signal(signal.SIGINT)
            return self.trace

        def run(self, call):
            '''Return whether the line was reached.'''
            faulthandler.dump_traceback_later(30, exit=True)
            sys.settrace(self.trace)
            try:
                call()
            except KeyboardInterrupt:
                pass
            except BaseExceptionGroup as error:
                assert error.split(KeyboardInterrupt)[1] is None, self.at
            else:
                assert self.at is None, self.at
            finally:
                sys.settrace(None)
            return self.at is not None

    def sweep(call, check):
        call()  # what is imported late
        tries = [PressesCtrlC(0)]
        while tries[-1].run(call):
            check(tries[-1].at)
            tries.append(PressesCtrlC(len(tries)))
        assert len(tries) > 10
        print(len(tries) - 1, "lines", file=sys.stderr)

    running = []

    def slow():
        running.append(None)
        time.sleep(0.001)
        running.pop()

    def scope():
        with runtime.scope() as scope:
            scope.spawn(slow)
            scope.spawn(int)

    def opened():
        with runtime.open_sync_pool(2):
            pass

    def nobody_is_left(at):
        assert not place._opened, at
        for thread in threading.enumerate():
            if thread.name.startswith("runtime-"):
                thread.join(30)
                assert not thread.is_alive(), at

    CALLS = {
        "run": lambda: pool.run(slow),
        "scope": scope,
        "join": lambda: runtime.join(int, slow),
        "broadcast": lambda: runtime.broadcast(slow),
        "par_iter": lambda: runtime.par_iter(range(9)).map(abs).sum(),
    }

    def pool_works(at):
        assert not running, at
        assert pool.run(int) == 0
        assert runtime.broadcast(int) == [0, 0]

    if sys.argv[1] == "open":
        sweep(opened, nobody_is_left)
    else:
        with runtime.open_sync_pool(2) as pool:
            sweep(CALLS[sys.argv[1]], pool_works)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "call", ["open", "run", "scope", "join", "broadcast", "par_iter"]
)
def test_ctrl_c_at_every_line_loses_nothing(call):
    result = subprocess.run(
        [sys.executable, "-P", "-c", textwrap.dedent(PROGRAM), call],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert result.returncode == 0, result.stderr
