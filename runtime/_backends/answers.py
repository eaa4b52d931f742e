"""How an encoded job was answered; the numbers of ``_native/encoded.h``.

Layer: backends, both sides.
"""

__all__ = ("ASKED", "BROKEN", "CANCELLED", "ERROR", "NONE", "VALUE")

NONE = 0  # withdrawn: it never began
BROKEN = 1  # its interpreter ended
VALUE = 2
ERROR = 3
CANCELLED = 4
ASKED = 5  # not over: a job asks home for something
