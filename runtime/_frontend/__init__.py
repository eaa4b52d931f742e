"""Structured concurrency on Trio: the pool, and the ways to give it work.

May import `runtime._core`, `runtime._backends` and trio. A job's life is followed
from `spawn_cpu_work` to the answer in docs/explanation/architecture.md.
"""
