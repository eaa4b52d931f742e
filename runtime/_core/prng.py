"""A seeded generator for the choice of victims.

Quality hardly matters here; being cheap, private to one worker and repeatable
from a seed does.

Layer: core.

Source: Marsaglia 2003, xorshift, the 32-bit triple (13, 17, 5).
"""

__all__ = ("Prng",)

_MASK = 0xFFFFFFFF


class Prng:
    """A stream of numbers fixed by its seed.

    Thread safety: externally synchronized; each worker owns one.
    """

    __slots__ = ("_state",)

    def __init__(self, seed: int) -> None:
        # Zero is the one state xorshift never leaves.
        self._state = (seed & _MASK) or 0x9E3779B9  # owner

    def below(self, n: int) -> int:
        """Return a number in ``range(n)``; n is at least 1."""
        x = self._state
        x ^= (x << 13) & _MASK
        x ^= x >> 17
        x ^= (x << 5) & _MASK
        self._state = x
        return x % n
