"""The native core, built where there is a C compiler. All else is in pyproject.toml.

Without a compiler the installation succeeds and the Python core is used;
``python -m runtime doctor`` says which one it is.
"""

from pathlib import Path

from setuptools import Extension, setup

NATIVE = Path("runtime", "_native")

setup(
    ext_modules=[
        Extension(
            "runtime._native.scheduler",
            sources=sorted(map(str, NATIVE.glob("*.c"))),
            depends=sorted(map(str, NATIVE.glob("*.h"))),
            extra_compile_args=[
                "-std=c11",
                "-O3",
                "-Wall",
                "-Wextra",
                "-fvisibility=hidden",
            ],
            optional=True,
        )
    ]
)
