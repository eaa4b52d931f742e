"""Data parallelism: fork-join, scopes, and parallel iterators that split themselves.

It may import what lies below: the core, the backends and the Trio front end.
How a chain becomes an answer is written in PLUMBING.md.
"""
