import os

import pytest
import trio

from runtime._cli import reader
from runtime._cli.exits import CommandError
from runtime._cli.reader import Chunk, check_files, read_lines, read_paths, total_bytes


async def collect(*paths):
    return [chunk async for chunk in read_lines([str(path) for path in paths])]


async def test_file_comes_in_whole_lines(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"1\n2\n3")

    chunks = await collect(path)

    assert chunks == [Chunk(str(path), 1, b"1\n2\n"), Chunk(str(path), 3, b"3")]


async def test_line_cut_by_a_read_is_put_together(tmp_path, monkeypatch):
    monkeypatch.setattr(reader, "_READ_BYTES", 4)
    path = tmp_path / "a.txt"
    path.write_bytes(b"abcdefghij\nk\nlm\n")

    chunks = await collect(path)

    assert b"".join(chunk.data for chunk in chunks) == b"abcdefghij\nk\nlm\n"
    assert (chunks[0].first_line, chunks[0].data) == (1, b"abcdefghij\n")
    assert all(chunk.data.endswith(b"\n") for chunk in chunks)


async def test_line_numbers_begin_anew_in_each_file(tmp_path):
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_bytes(b"1\n2\n")
    second.write_bytes(b"3\n")

    chunks = await collect(first, second)

    assert [chunk.first_line for chunk in chunks] == [1, 1]


async def test_pipe_brings_each_line_as_it_is_written(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    lines = read_lines([str(pipe)])
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, _open_later(pipe))
            writer = None
            first = await anext(lines)
            writer = _OPENED.pop()
            assert first.data == b"1\n"
            os.write(writer, b"2\n3")
            assert (await anext(lines)).data == b"2\n"
            os.close(writer)
            assert (await anext(lines)).data == b"3"
    await lines.aclose()


_OPENED = []


def _open_later(pipe):
    def open_and_write():
        fd = os.open(pipe, os.O_WRONLY)
        _OPENED.append(fd)
        os.write(fd, b"1\n")

    return open_and_write


async def test_line_without_end_is_refused_not_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(reader, "_LONGEST_ITEM_BYTES", 2**20)
    path = tmp_path / "a"
    path.write_bytes(b"ok\n" + b"x" * (2**20 + 1))
    chunks = read_lines([str(path)])

    await anext(chunks)
    with pytest.raises(CommandError, match=r"a:2: longer than 1 MiB"):
        await anext(chunks)


async def test_paths_are_items_themselves():
    chunks = [chunk async for chunk in read_paths(["a b", "c\nd"])]

    assert chunks == [Chunk("", 1, b"a b\0c\nd\0")]


def test_total_is_known_for_files_and_not_for_pipes(tmp_path):
    path, pipe = tmp_path / "a", tmp_path / "pipe"
    path.write_bytes(b"12345")
    os.mkfifo(pipe)

    assert total_bytes([str(path), str(path)]) == 10
    assert total_bytes([str(path), str(pipe)]) is None


def test_check_names_a_file_that_is_not_there(tmp_path):
    with pytest.raises(CommandError, match=r"cannot read .*nope: No such file"):
        check_files([str(tmp_path / "nope")])


def test_check_names_a_directory(tmp_path):
    with pytest.raises(CommandError, match="it is a directory"):
        check_files([str(tmp_path)])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_check_names_a_file_that_may_not_be_read(tmp_path):
    path = tmp_path / "secret"
    path.touch(mode=0)

    with pytest.raises(CommandError, match="Permission denied"):
        check_files([str(path)])
