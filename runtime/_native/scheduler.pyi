from typing import Any

# The objects are typed in Python, by their twins: see runtime._core.selected.
def __getattr__(name: str) -> Any: ...
