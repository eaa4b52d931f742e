"""Sync pools, and chains that are split as often as can be."""

import sys
from contextlib import contextmanager

import hypothesis
import pytest

import runtime
import runtime._iter.bridge
import runtime._iter.drive

# No test measures time: the machine may be busy with something else.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")

DRIVE = sys.modules["runtime._iter.drive"]
BRIDGE = sys.modules["runtime._iter.bridge"]


@contextmanager
def splitting_eagerly(split_ns=0, leaf_ns=1):
    """Have chains split down to single items, whatever they cost."""
    names = {DRIVE: ("SPLIT_NS", "LEAF_NS", "FIRST_LEAF_NS"), BRIDGE: ("SPLIT_NS",)}
    before = [(m, n, getattr(m, n)) for m, some in names.items() for n in some]
    for module, name, _ in before:
        setattr(module, name, split_ns if name == "SPLIT_NS" else leaf_ns)
    try:
        yield
    finally:
        for module, name, value in before:
            setattr(module, name, value)


@pytest.fixture
def eager():
    """A context manager: chains split down to single items, whatever they cost."""
    return splitting_eagerly


@pytest.fixture
def splitting():
    """Let every chain of the test split whenever it can."""
    with splitting_eagerly():
        yield


@pytest.fixture(params=[1, 2, 4])
def sync_pool(request):
    """A sync pool of one, two or four workers, and its block."""
    with runtime.open_sync_pool(request.param, name="test") as pool:
        yield pool


@pytest.fixture
def pair():
    """A sync pool of two workers, and its block."""
    with runtime.open_sync_pool(2, name="test") as pool:
        yield pool
