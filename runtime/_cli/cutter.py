"""Cut chunks of input into blocks of the right size.

Layer: cli.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from .block import Block
from .block_size import BlockSize
from .codec import LINES, Codec
from .exits import CommandError
from .reader import Chunk

__all__ = ("BlockCutter",)


@dataclass(slots=True)
class BlockCutter:
    """Makes blocks of the chunks it is given, each of the size of the moment.

    An input that breaks off ends the blocks, as its end would: what was read is
    still worked on and written, and `error` then says what happened.

    Thread safety: externally synchronized; used by the Trio thread only.
    """

    callable_spec: str
    codec: Codec
    stop_at_failure: bool
    size: BlockSize
    output: str = LINES.name
    items_read: int = 0
    error: CommandError | None = None

    async def cut(self, chunks: AsyncGenerator[Chunk]) -> AsyncGenerator[Block]:
        """Yield the blocks of all chunks, in input order."""
        try:
            async with aclosing(chunks):
                async for chunk in chunks:
                    items = self.codec.split(chunk.data)
                    start = 0
                    while start < len(items):
                        end = start + self.size.items
                        yield self._block(chunk, start, items[start:end])
                        start = end
        except CommandError as error:
            self.error = error

    def _block(self, chunk: Chunk, start: int, items: list[bytes]) -> Block:
        separator = self.codec.separator
        self.items_read += len(items)
        return Block(
            callable_spec=self.callable_spec,
            codec=self.codec.name,
            stop_at_failure=self.stop_at_failure,
            source=chunk.source,
            first_line=chunk.first_line + start,
            first_item=self.items_read - len(items) + 1,
            data=separator.join(items) + separator,
            output=self.output,
        )
