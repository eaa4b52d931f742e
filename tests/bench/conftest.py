"""Make `bench` importable: it is part of the checkout, not of the installed package."""

import sys
from pathlib import Path

# At the end, so that an installed `runtime` comes before the checkout's.
sys.path.append(str(Path(__file__).resolve().parents[2]))
