import pytest

from runtime._cli.block_size import BlockSize
from runtime._cli.codec import LINES
from runtime._cli.cutter import BlockCutter
from runtime._cli.exits import CommandError
from runtime._cli.reader import Chunk


@pytest.fixture
def cutter():
    size = BlockSize(limit=100)
    size.items = 2
    return BlockCutter("m:f", LINES, stop_at_failure=True, size=size)


async def chunks(*given):
    for chunk in given:
        yield chunk


async def cut(cutter, *given):
    return [block async for block in cutter.cut(chunks(*given))]


async def test_chunk_is_cut_into_blocks_that_know_their_place(cutter):
    blocks = await cut(cutter, Chunk("a.txt", 10, b"1\n2\n3\n"))

    assert [(b.source, b.first_line, b.first_item, b.data) for b in blocks] == [
        ("a.txt", 10, 1, b"1\n2\n"),
        ("a.txt", 12, 3, b"3\n"),
    ]


async def test_items_are_numbered_through_all_chunks(cutter):
    blocks = await cut(cutter, Chunk("a", 1, b"1\n"), Chunk("b", 1, b"2\n3\n4\n"))

    assert [block.first_item for block in blocks] == [1, 2, 4]


async def test_empty_lines_are_items(cutter):
    blocks = await cut(cutter, Chunk("a", 1, b"\n\n\n"))

    assert [block.data for block in blocks] == [b"\n\n", b"\n"]


async def test_size_of_the_moment_counts_for_the_next_block(cutter):
    blocks = cutter.cut(chunks(Chunk("a", 1, b"1\n2\n3\n4\n")))

    assert (await anext(blocks)).data == b"1\n2\n"
    cutter.size.items = 1
    assert (await anext(blocks)).data == b"3\n"
    await blocks.aclose()


async def test_input_that_breaks_off_ends_the_blocks_and_is_remembered(cutter):
    async def breaking():
        yield Chunk("a", 1, b"1\n")
        raise CommandError("gone")

    blocks = [block async for block in cutter.cut(breaking())]

    assert [block.data for block in blocks] == [b"1\n"]
    assert str(cutter.error) == "gone"
