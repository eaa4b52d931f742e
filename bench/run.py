#!/usr/bin/env python3
"""Run the benchmarks: ``bench/run.py [SITUATION...] [--json FILE] [--rounds N]``.

Nothing is imported before ``main``, because the worker processes of some contenders
import this file again.
"""

import sys
from pathlib import Path

if __name__ == "__main__":
    # At the end: an installed `runtime` comes before the checkout's.
    sys.path.append(str(Path(__file__).resolve().parent.parent))
    from bench.command import main

    sys.exit(main(sys.argv[1:]))
