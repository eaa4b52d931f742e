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
    before = DRIVE.SPLIT_NS, DRIVE.LEAF_NS, BRIDGE.SPLIT_NS, BRIDGE.LEAF_NS
    DRIVE.SPLIT_NS = BRIDGE.SPLIT_NS = split_ns
    DRIVE.LEAF_NS = BRIDGE.LEAF_NS = leaf_ns
    try:
        yield
    finally:
        DRIVE.SPLIT_NS, DRIVE.LEAF_NS, BRIDGE.SPLIT_NS, BRIDGE.LEAF_NS = before


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
