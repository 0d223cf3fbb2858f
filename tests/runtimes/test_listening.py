"""Who listens, asked of the real kernel about real sockets."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from runtimes import listening, ports


@pytest.fixture(params=[socket.AF_INET, socket.AF_INET6])
def server(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    with socket.socket(request.param) as found:
        found.bind(("::1" if request.param == socket.AF_INET6 else "127.0.0.1", 0))
        yield found


def test_a_process_that_listens_is_known_by_its_port(server: socket.socket) -> None:
    port = server.getsockname()[1]
    assert not listening.listens(os.getpid(), port)  # bound is not listening
    server.listen(1)
    assert listening.listens(os.getpid(), port)
    assert ports.listens(os.getpid(), port)
    assert not listening.listens(os.getppid(), port)
    server.close()
    assert not listening.listens(os.getpid(), port)


def test_one_connection_of_many_is_not_taken_for_a_listener(server: socket.socket) -> None:
    server.listen(64)
    name = server.getsockname()
    with socket.socket(server.family) as client:
        client.connect(name[:2])
        assert not listening.listens(os.getpid(), client.getsockname()[1])


def test_where_the_kernel_does_not_tell_the_process_is_looked_at(
    server: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(pid: int, port: int) -> bool:
        raise PermissionError

    server.listen(1)
    monkeypatch.setattr(listening, "listens", silent)
    assert ports.listens(os.getpid(), server.getsockname()[1])
    assert not ports.listens(2**22 + 1, server.getsockname()[1])
