"""Who has a port of this machine, asked of real sockets and processes. Listening: tests/runtimes/test_listening.py."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from runtimes import ports
from runtimes.health import probe
from specs.model import AppSpec, Health

ABSENT = 2**22 + 1  # no process has this id


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        found.listen(8)
        yield found


@pytest.fixture
def port(server: socket.socket) -> int:
    return int(server.getsockname()[1])


@pytest.fixture
def child(server: socket.socket) -> Iterator[int]:
    """A child that has the same listening socket, as a forked worker has."""
    code = "import sys; print('up', flush=True); sys.stdin.read()"
    pipe = subprocess.PIPE
    argv = [sys.executable, "-I", "-S", "-c", code]
    with subprocess.Popen(argv, stdin=pipe, stdout=pipe, pass_fds=[server.fileno()]) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        yield process.pid
        process.kill()


def test_a_port_is_open_while_somebody_takes_connections_on_it(server: socket.socket, port: int) -> None:
    assert ports.is_open(port)
    server.close()
    assert not ports.is_open(port)


def test_one_whose_queue_is_full_is_not_waited_for() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        port = server.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        try:
            for one in waiting:
                one.setblocking(False)
                one.connect_ex(("127.0.0.1", port))
            assert not ports.is_open(port, timeout=0.05)
        finally:
            for one in waiting:
                one.close()


def test_a_connection_that_met_itself_is_nobody_who_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []

    def by_chance(address: tuple[str, int], **options: Any) -> socket.socket:
        """The port for its own end, out of thousands, is the one that is asked for."""
        one = socket.socket()
        one.bind(("127.0.0.1", 0))
        one.connect(one.getsockname())
        found.append(one)
        return one

    monkeypatch.setattr(socket, "create_connection", by_chance)
    assert not ports.is_open(40000)
    result = probe(AppSpec("web", "1", health=Health(type="tcp", port=40000)), release=Path("/"))
    assert (result.ok, result.message) == (False, "port 40000: Connection refused")
    assert [one.fileno() for one in found] == [-1, -1]


def test_all_that_share_a_listening_socket_are_its_listeners(port: int, child: int) -> None:
    found = ports.listeners(port)
    assert found is not None
    assert found & {os.getpid(), child}
    assert ports.listens(os.getpid(), port)
    assert ports.listens(child, port)


def test_a_port_that_one_of_ours_has_is_not_answered_by_another(port: int, child: int) -> None:
    assert ports.answered_by_other(port, [ABSENT, os.getpid()]) == ""
    assert ports.answered_by_other(port, {child}) == ""


def test_a_port_that_only_others_have_is_told_with_their_name(port: int) -> None:
    name = psutil.Process().name()
    assert ports.answered_by_other(port, [ABSENT]) == f"process {os.getpid()} ({name})"
    assert ports.answered_by_other(port, []) == ports.holder(port) == f"process {os.getpid()} ({name})"


def test_of_a_port_that_nobody_has_nothing_is_said(server: socket.socket, port: int) -> None:
    server.close()
    assert ports.listeners(port) == set()
    assert ports.answered_by_other(port, []) == ""
    assert ports.holder(port) == "another process"


def test_where_the_system_does_not_tell_nobody_is_accused(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(kind: str) -> list[object]:
        raise psutil.AccessDenied

    monkeypatch.setattr(psutil, "net_connections", denied)
    assert ports.listeners(port) is None
    assert ports.answered_by_other(port, [ABSENT]) == ""
    assert ports.holder(port) == "another process"
