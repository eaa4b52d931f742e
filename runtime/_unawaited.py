"""What an async function gives when it is called like a sync one.

It has done nothing, and nobody will await it. Workers look at the type of what each
call returned, so the types stand alone, and both sides of a pool of interpreters import
them. The native core has a twin (`is_unawaited` in ``_native/native.h``).

Layer: rank 0.
"""

from types import AsyncGeneratorType, CoroutineType

__all__ = ("UNAWAITED",)

UNAWAITED = frozenset((CoroutineType, AsyncGeneratorType))
