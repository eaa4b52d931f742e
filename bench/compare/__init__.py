"""The contenders, one file each, all with the same entry points.

Each file has ``open_peer(worker_count)``, an async context manager that gives a `Peer`.
Every peer runs as its own documentation advises, with `worker_count` lanes.
"""
