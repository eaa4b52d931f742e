r"""Turn input bytes into items, and results into output bytes.

A codec knows one format: how items are separated, how the bytes of one become what
the user's function is given, and how a result becomes bytes.

Layer: cli.
"""

import json
from dataclasses import dataclass
from typing import override

__all__ = ("CODECS", "FORMATS", "LINES", "PATHS", "Codec")


@dataclass(frozen=True, slots=True)
class Codec:
    """One format."""

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

    def decode(self, raw: bytes) -> object:
        """Return what the user's function is given for one item."""
        return raw.decode("utf-8", self.errors)

    def encode(self, result: object) -> bytes:
        """Return the output for one result; none for None."""
        if result is None:
            return b""
        return self.text(result).encode("utf-8", "surrogateescape") + self.separator

    def text(self, result: object) -> str:
        """Return a result as it is written."""
        return str(result)


class _Lines(Codec):
    __slots__ = ()

    @override
    def decode(self, raw: bytes) -> object:
        """Return the line without its line break, be it of Unix or Windows."""
        return raw.removesuffix(b"\r").decode("utf-8", self.errors)


class _JsonLines(Codec):
    __slots__ = ()

    @override
    def decode(self, raw: bytes) -> object:
        """Return the value that is written in the line."""
        return json.loads(raw.decode("utf-8", self.errors))

    @override
    def text(self, result: object) -> str:
        """Return the result as JSON, in ASCII; an infinity or NaN is not JSON."""
        return json.dumps(result, allow_nan=False)


class _Nul(Codec):
    __slots__ = ()

    @override
    def text(self, result: object) -> str:
        """Return the text, which must not end where the reader would see its end."""
        text = super().text(result)
        if "\0" in text:
            raise ValueError("a result with a NUL byte cannot be written between them")
        return text


LINES = _Lines("lines", separator=b"\n", errors="strict")
JSON_LINES = _JsonLines("jsonl", separator=b"\n", errors="strict")
# A file name need not be valid UTF-8; Python carries its bytes as surrogates.
NUL = _Nul("nul", separator=b"\0", errors="surrogateescape")
PATHS = Codec("paths", separator=b"\0", errors="surrogateescape")

CODECS = {codec.name: codec for codec in (LINES, JSON_LINES, NUL, PATHS)}
# What a user may choose.
FORMATS = (LINES.name, JSON_LINES.name, NUL.name)
