"""How many connections to a port are open, asked of the real kernel."""

from __future__ import annotations

import socket
from pathlib import Path

import psutil
import pytest
from waiting import wait_for

from runtimes.connections import count, established


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6], ids=["IPv4", "IPv6"])
def test_a_connection_counts_from_its_beginning_to_its_end_accepted_or_not(family: socket.AddressFamily) -> None:
    with socket.socket(family) as server:
        server.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
        server.listen(8)
        address = server.getsockname()[:2]
        port = address[1]
        assert established(port) == 0
        clients = [socket.create_connection(address) for _ in range(3)]
        assert established(port) == 3
        accepted, _ = server.accept()
        assert established(port) == 3
        assert established(clients[0].getsockname()[1]) == 1  # the client's own end, and no more
        clients[0].close()
        accepted.close()
        wait_for(lambda: established(port) == 2)
        for client in clients:
            client.close()


def test_without_proc_it_is_asked_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(1)
        port = server.getsockname()[1]
        found = psutil.net_connections(kind="tcp")
        monkeypatch.setattr(Path, "exists", lambda path: False)
        assert established(port) == 0
        monkeypatch.setattr(psutil, "net_connections", lambda kind: found)
        with socket.create_connection(("127.0.0.1", port)):
            monkeypatch.undo()
            monkeypatch.setattr(Path, "exists", lambda path: not str(path).startswith("/proc/net/"))
            assert established(port) == 1


@pytest.mark.parametrize(
    ("line", "counted"),
    [
        ("0: 0100007F:0050 0100007F:D2F0 01 0:0", 1),
        ("0: 00000000000000000000000001000000:0050 0:0 01", 1),
        ("0: 0100007F:1F50 0100007F:D2F0 01", 0),
        ("0: 0100007F:5000 0100007F:D2F0 01", 0),
        ("0: 0100007F:0050 0100007F:D2F0 06", 0),
        ("0: 0100007F:D2F0 0100007F:0050 01", 0),
        ("0: 0100007F:0050", 0),
        ("", 0),
    ],
)
def test_only_an_established_line_of_that_very_port_counts(line: str, counted: int) -> None:
    assert count([line], 80) == counted
