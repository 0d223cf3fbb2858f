"""Sockets at paths of any length, for their owner only."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtimes.host.unixsocket import address, connect, listen


@pytest.fixture
def sockets() -> Iterator[list[socket.socket]]:
    made = [socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) for _ in range(3)]
    yield made
    for one in made:
        one.close()


@pytest.mark.parametrize("depth", [0, 1, 5])
def test_two_find_each_other_at_a_path_of_any_length(tmp_path: Path, sockets: list[socket.socket], depth: int) -> None:
    folder = tmp_path.joinpath(*["ünder" * 12] * depth)
    folder.mkdir(parents=True, exist_ok=True)
    server, client, _ = sockets
    listen(server, folder / "main.sock")
    connect(client, folder / "main.sock")
    accepted, _ = server.accept()
    with accepted:
        client.sendall(b"word")
        assert accepted.recv(10) == b"word"
    assert stat.S_IMODE((folder / "main.sock").stat().st_mode) == 0o600


def test_one_takes_the_place_of_another_and_leaves_the_mask_of_files_as_it_was(
    tmp_path: Path, sockets: list[socket.socket]
) -> None:
    before = os.umask(0o027)
    try:
        first, second, client = sockets
        listen(first, tmp_path / "main.sock")
        listen(second, tmp_path / "main.sock")
        connect(client, tmp_path / "main.sock")
        second.settimeout(20)
        second.accept()[0].close()
        assert os.umask(0o027) == 0o027
        with pytest.raises(OSError):
            listen(sockets[2], tmp_path / "nowhere" / "main.sock")
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)


def test_nobody_there_is_an_os_error_and_leaves_no_descriptor(tmp_path: Path, sockets: list[socket.socket]) -> None:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for path in (tmp_path / "main.sock", tmp_path / "nowhere" / "main.sock"):
        with pytest.raises(FileNotFoundError):
            connect(sockets[0], path)
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def test_length_is_counted_in_bytes() -> None:
    assert address(Path("/" + "a" * 98), 3) == "/" + "a" * 98
    assert address(Path("/" + "a" * 99), 3) == "/proc/self/fd/3/" + "a" * 99
    assert address(Path("/" + "ü" * 50), 3).startswith("/proc/self/fd/3/")
