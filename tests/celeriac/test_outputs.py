"""What comes through real pipes, in whatever pieces, is kept as lines and in bounds."""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import IO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from celeriac import outputs
from celeriac.outputs import Output, Poller

Pipe = tuple[IO[bytes], int]


@pytest.fixture
def pipe() -> Iterator[Callable[[], Pipe]]:
    """Makes pipes: the end to read, and the descriptor to write to."""
    writers: list[int] = []

    def make() -> Pipe:
        reader, writer = os.pipe()
        writers.append(writer)
        return open(reader, "rb", buffering=0), writer  # noqa: PTH123 - closed by `finish`

    yield make
    for writer in writers:
        try:
            os.close(writer)
        except OSError:  # by the test
            continue


def sent(stdout: list[bytes], stderr: list[bytes] = [], **limits: int) -> tuple[Output, list[str]]:  # noqa: B006
    """What is made of the pieces of both streams, and what was told line by line."""
    told: list[str] = []
    ends = [os.pipe(), os.pipe()]
    out, err = (open(reader, "rb", buffering=0) for reader, _ in ends)  # noqa: SIM115, PTH123 - closed by `finish`
    output = Output(out, err, limits.get("tail_lines", 30), limits.get("max_output", 1 << 20), told.append)
    for (_, writer), pieces in zip(ends, (stdout, stderr), strict=True):
        for piece in pieces:
            os.write(writer, piece)
            output.poller.look(0)
        os.close(writer)
    output.finish()
    assert out.closed
    assert err.closed
    return output, told


@settings(max_examples=60)
@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=6))
def test_lines_are_the_same_in_whatever_pieces_they_come(content: bytes, cuts: list[int]) -> None:
    places = [0, *sorted(min(cut, len(content)) for cut in cuts), len(content)]
    pieces = [content[begin:end] for begin, end in itertools.pairwise(places) if begin < end]
    output, told = sent(pieces)
    lines = content.removesuffix(b"\n").split(b"\n") if content else []
    assert told == [line.decode("utf-8", "replace").rstrip() for line in lines]
    assert output.text() == content.decode("utf-8", "replace")
    assert list(output.tail) == [line for line in told if line][-30:]


def test_standard_error_is_in_the_tail_and_not_in_the_text() -> None:
    output, told = sent([b"out\n"], [b"no end"])
    assert (output.text(), list(output.tail), told) == ("out\n", ["out", "no end"], ["out", "no end"])


def test_of_much_output_the_beginning_is_the_text_and_the_end_is_the_tail() -> None:
    output, told = sent([b"%d\n" % number for number in range(99)], max_output=5, tail_lines=2)
    assert output.text() == "0\n1\n2"
    assert list(output.tail) == ["97", "98"]
    assert len(told) == 99


def test_a_line_without_an_end_does_not_grow_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outputs, "_LINE", 10)
    output, told = sent([b"x" * 1000, b"\nend\n"])
    assert max(map(len, told)) < 20
    assert "".join(told) == "x" * 1000 + "end"
    assert output.text() == "x" * 1000 + "\nend\n"


def test_a_long_line_is_told_whole_and_kept_short() -> None:
    output, told = sent([b"x" * 5000 + b"\n"])
    assert (told, list(output.tail)) == (["x" * 5000], ["x" * 2000])


def test_without_pipes_there_is_nothing_to_read() -> None:
    output = Output(None, None, 3, 100)
    output.finish()
    assert (output.text(), list(output.tail)) == ("", [])


def test_the_last_words_are_kept_although_somebody_still_holds_the_pipe(pipe: Callable[[], Pipe]) -> None:
    out, writer = pipe()
    told: list[str] = []
    output = Output(out, None, 5, 100, told.append)
    os.write(writer, b"first\nlast words")
    begun = time.monotonic()
    output.finish()
    assert time.monotonic() - begun >= 2
    assert told == list(output.tail) == ["first", "last words"]
    assert output.text() == "first\nlast words"


def test_the_end_that_is_waited_for_is_told_apart_from_something_to_read(pipe: Callable[[], Pipe]) -> None:
    reader, writer = pipe()
    ending, ends = pipe()
    poller = Poller()
    came: list[bytes] = []
    poller.add(reader, came.append)
    os.write(writer, b"x")
    assert not poller.look(30, ending.fileno())
    os.write(ends, b"!")
    assert poller.look(30, ending.fileno())
    assert came == [b"x"]
    assert not poller.look(0)  # what is not waited for any more is not looked at
    reader.close()
    ending.close()


def test_reading_to_the_end_returns_when_the_last_writer_is_gone(pipe: Callable[[], Pipe]) -> None:
    reader, writer = pipe()
    poller = Poller()
    came: list[bytes] = []
    poller.add(reader, came.append)

    def write() -> None:
        for _ in range(200):
            os.write(writer, b"y" * 5000)
        os.close(writer)

    thread = threading.Thread(target=write)
    thread.start()
    poller.read_all(60)
    thread.join()
    assert (sum(map(len, came)), came[-1]) == (1_000_000, b"")
    reader.close()
