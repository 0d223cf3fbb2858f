"""HTTP over a Unix socket."""

from __future__ import annotations

import http.server
import socketserver
import threading
from pathlib import Path

import pytest

from runtimes.unix_http import UnixConnection


class Echo(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])) + str(self.headers["Host"]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


def test_a_request_is_answered_by_whoever_listens_there(tmp_path: Path) -> None:
    with socketserver.UnixStreamServer(str(tmp_path / "s"), Echo) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            connection = UnixConnection(tmp_path / "s", 10)
            connection.request("POST", "/", b"asked of ")
            assert connection.getresponse().read() == b"asked of localhost"
            connection.close()
        finally:
            server.shutdown()
            thread.join()


def test_where_nobody_listens_nothing_is_left_open(tmp_path: Path) -> None:
    before = set(Path("/proc/self/fd").iterdir())
    connections = [UnixConnection(tmp_path / name, 1) for name in ("none", "n" * 200)]
    for connection in connections:
        with pytest.raises(OSError):
            connection.connect()
    assert not [one for one in Path("/proc/self/fd").iterdir() if one not in before and one.exists()]


def test_one_that_does_not_answer_in_time_is_not_waited_for(tmp_path: Path) -> None:
    with socketserver.UnixStreamServer(str(tmp_path / "s"), Echo):
        connection = UnixConnection(tmp_path / "s", 0.05)
        connection.request("POST", "/", b"x")
        with pytest.raises(TimeoutError):
            connection.getresponse()
        connection.close()
