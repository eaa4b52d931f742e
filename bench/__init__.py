"""The benchmarks: ratios inside one run, each beside its ceiling.

`run.py` is the entry point, `situations/` says what is measured, `compare/` holds one
file per contender, `harness.py` says how. See README.md.
"""
