"""Whom a hosted app's control socket belongs to, and what an answer that does not come means. With real hosts:
tests/runtimes/host/test_control.py.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from peers import listening

from runtimes.host_client import HostClient, HostGone, HostRefused, running_digest

Serve = Callable[..., list[bytes]]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Somebody who answers each line with the next of some texts, and closes the connection after the last."""
    (tmp_path / "run").mkdir()
    with contextlib.ExitStack() as held:

        def begin(*answers: bytes) -> list[bytes]:
            asked: list[bytes] = []

            def talk(connection: socket.socket) -> None:
                with connection.makefile("rb") as lines:
                    for answer in answers:
                        asked.append(lines.readline())
                        connection.sendall(answer)

            held.enter_context(listening(tmp_path / "run" / "main.sock", talk))
            return asked

        yield begin


def test_what_is_asked_is_one_line_and_its_answer_comes_back(serve: Serve, tmp_path: Path) -> None:
    asked = serve(b'{"ok": true, "n": 1}\n', b'{"ok": true, "n": 2}\n')
    with HostClient(tmp_path, "main", os.getpid()) as host:
        assert host.ask("reload", release="/r\nx", timeout=5.0)["n"] == 1
        assert host.ask("status")["n"] == 2
    assert [json.loads(line) for line in asked] == [{"command": "reload", "release": "/r\nx"}, {"command": "status"}]


def test_a_refusal_says_why_and_the_connection_goes_on(serve: Serve, tmp_path: Path) -> None:
    serve(b'{"ok": false, "reason": "Busy", "message": "later"}\n', b'{"ok": true}\n')
    with HostClient(tmp_path, "main", os.getpid()) as host:
        with pytest.raises(HostRefused, match="later") as caught:
            host.ask("reload")
        assert caught.value.reason == "Busy"
        assert host.ask("status")["ok"]


@pytest.mark.parametrize("answer", [b"", b'{"ok": tr', b"null\n", b"[]\n", b"hello\n", b"\xff\n", b'"ok"\n'])
def test_half_an_answer_or_none_is_a_host_that_is_gone(serve: Serve, tmp_path: Path, answer: bytes) -> None:
    serve(answer)
    with HostClient(tmp_path, "main", os.getpid()) as host, pytest.raises(HostGone, match="status"):
        host.ask("status")
    assert running_digest(tmp_path, "main", os.getpid()) == ""


def test_one_that_does_not_answer_in_time_is_gone(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "run" / "main.sock"))
        server.listen(1)
        with HostClient(tmp_path, "main", os.getpid()) as host:
            for _ in range(2):
                with pytest.raises(HostGone, match="no answer to status"):
                    host.ask("status", timeout=0.02)


def test_the_socket_of_another_process_is_not_spoken_to(serve: Serve, tmp_path: Path) -> None:
    asked = serve(b'{"ok": true, "digest": "r-e-d"}\n')
    with pytest.raises(HostGone, match=f"belongs to process {os.getpid()}, not to {os.getpid() + 1}"):
        HostClient(tmp_path, "main", os.getpid() + 1)
    assert running_digest(tmp_path, "main", os.getpid() + 1) == ""
    assert running_digest(tmp_path, "main", os.getpid()) == "r-e-d"
    assert [line for line in asked if line] == [b'{"command": "status"}\n']  # nothing was said to the other one


def test_an_answer_without_a_digest_tells_none(serve: Serve, tmp_path: Path) -> None:
    serve(b'{"ok": true}\n')
    assert running_digest(tmp_path, "main", os.getpid()) == ""


def test_where_nobody_listens_it_is_gone_and_nothing_is_left_open(tmp_path: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(HostGone, match="No such file"):
        HostClient(tmp_path, "main", 1)  # no folder
    (tmp_path / "run").mkdir()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "run" / "main.sock"))
    with pytest.raises(HostGone, match="refused"):
        HostClient(tmp_path, "main", os.getpid())
    assert len(list(Path("/proc/self/fd").iterdir())) == before
