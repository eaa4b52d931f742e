r"""Turn input bytes into items, and results into output bytes.

A codec knows one input format: how items are separated, and how the bytes
of one become what the user's function is given. The output format is one line
of text per result.

Layer: cli. Imports: the standard library.
"""

from dataclasses import dataclass

__all__ = ("CODECS", "LINES", "PATHS", "Codec", "encode_result")


@dataclass(frozen=True, slots=True)
class Codec:
    """One input format."""

    name: str
    separator: bytes
    errors: str
    """What undecodable bytes do: ``strict`` fails the item."""

    def split(self, data: bytes) -> list[bytes]:
        """Cut whole items apart; a separator at the end begins no item."""
        pieces = data.split(self.separator)
        if not pieces[-1]:
            pieces.pop()
        return pieces

    def decode(self, raw: bytes) -> str:
        """Return what the user's function is given for one item."""
        return raw.decode("utf-8", self.errors)


class _Lines(Codec):
    __slots__ = ()

    def decode(self, raw: bytes) -> str:
        """Return the line without its line break, be it of Unix or Windows."""
        return raw.removesuffix(b"\r").decode("utf-8", self.errors)


LINES = _Lines("lines", separator=b"\n", errors="strict")
# A file name need not be valid UTF-8; Python carries its bytes as surrogates.
PATHS = Codec("paths", separator=b"\0", errors="surrogateescape")

CODECS = {codec.name: codec for codec in (LINES, PATHS)}


def encode_result(result: object) -> bytes:
    """Return the output line for one result; none for None."""
    if result is None:
        return b""
    return str(result).encode("utf-8", "surrogateescape") + b"\n"
