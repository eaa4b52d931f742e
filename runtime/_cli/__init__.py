"""The command line: ``python -m runtime map | demo | doctor``.

May import everything, and prefers the public API. Trio and rich are imported by
the commands that need them, so that ``--help`` and ``doctor`` answer at once.
"""
