"""The scheduler's objects in C: `scheduler` is the compiled module, if there is one.

The C files beside this one mirror those of `runtime._core`. Who owns which
reference, and what is process-global, is written in README.md.

Layer: native.
"""
