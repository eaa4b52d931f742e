"""The demo's input: every module of this interpreter's standard library.

Layer: cli.
"""

import os
import sysconfig

__all__ = ("standard_library_modules",)

# Tests are left out: some are broken on purpose. The others are not the library's.
_LEFT_OUT = frozenset(
    {"__pycache__", "idle_test", "site-packages", "dist-packages", "test", "tests"}
)


def standard_library_modules(limit: int | None = None) -> list[str]:
    """Return the paths of the modules, largest first.

    Largest first, so that no worker begins the longest job when the others are
    done.
    """
    sizes: dict[str, int] = {}
    for folder, subfolders, names in os.walk(sysconfig.get_path("stdlib")):
        subfolders[:] = [name for name in subfolders if name not in _LEFT_OUT]
        for name in names:
            if name.endswith(".py"):
                path = os.path.join(folder, name)
                sizes[path] = os.path.getsize(path)
    return sorted(sizes, key=lambda path: (-sizes[path], path))[:limit]
