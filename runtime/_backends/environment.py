"""The environment variables that an interpreter sees: those of home.

An interpreter has a copy of ``os.environ`` from the moment it was created, and it may
be kept for a pool that opens much later.

Layer: backends, both sides.
"""

import os

__all__ = ("Environment", "environment", "set_environment")

# As `os` has them: encoded, but on Windows.
type Environment = dict[bytes, bytes] | dict[str, str]


def environment() -> Environment | None:
    """Return the variables of this interpreter; None if the program replaced them."""
    data: Environment | None = getattr(os.environ, "_data", None)
    return None if data is None else data.copy()


def set_environment(variables: Environment) -> None:
    """Have this interpreter's ``os.environ`` show these variables.

    Not by its own methods: they would set the variables of the process again, while
    other threads read or change them.
    """
    data: Environment | None = getattr(os.environ, "_data", None)
    if data is not None:
        data.clear()
        data.update(variables)  # type: ignore[arg-type]
