"""Pools of interpreters."""

import pytest

from runtime._backends import why_unavailable


@pytest.fixture
def interpreters():
    """Skip where there is no interpreter backend."""
    reason = why_unavailable("interpreters")
    if reason is not None:
        pytest.skip(reason)
