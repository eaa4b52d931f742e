"""What environment variables of ours ask for, checked in one place.

Layer: rank 0; a worker's interpreter waits for it.
"""

import os
from collections.abc import Sequence

__all__ = ("EnvironmentVariableError", "variable")


class EnvironmentVariableError(ValueError):
    """A variable asks for what does not exist; the message is one line naming it."""


def variable(name: str, choices: Sequence[str]) -> str | None:
    """Return the value of a variable, None if it is not set or empty.

    Raises:
      EnvironmentVariableError: the value is none of the choices.
    """
    value = os.environ.get(name)
    if value and value not in choices:
        allowed = " or ".join(map(repr, choices))
        raise EnvironmentVariableError(
            f"the environment variable {name} must be {allowed}, not {value!r}"
        )
    return value or None
