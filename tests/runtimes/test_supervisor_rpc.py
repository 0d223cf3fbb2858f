"""What becomes of a call when the supervisor answers, refuses, answers by half, or does not answer at all."""

from __future__ import annotations

import contextlib
import socket
import xmlrpc.client
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from peers import listening

from celeriac.errors import CeleriacError
from runtimes.supervisor_rpc import (
    BAD_NAME,
    SHUTDOWN,
    STILL_RUNNING,
    ProcessInfo,
    SupervisorError,
    SupervisorGoneError,
    call,
    call_many,
    parse_info,
)

Serve = Callable[[bytes], tuple[Path, list[bytes]]]

RAW = {
    "group": "web", "name": "main", "statename": "RUNNING", "pid": 7, "start": 5, "stop": 0, "exitstatus": 0,
    "spawnerr": "",
}  # fmt: skip


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Somebody who answers each connection with the same bytes, then closes it; and what it was asked."""
    with contextlib.ExitStack() as held:

        def begin(answer: bytes) -> tuple[Path, list[bytes]]:
            path = tmp_path / "supervisor.sock"
            asked: list[bytes] = []

            def talk(connection: socket.socket) -> None:
                asked.append(_request(connection))
                connection.sendall(answer)

            held.enter_context(listening(path, talk))
            return path, asked

        yield begin


def _request(connection: socket.socket) -> bytes:
    with connection.makefile("rb") as file:
        length = 0
        while (line := file.readline()).strip():
            if line.lower().startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
        return file.read(length)


def http(body: bytes, length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    return b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: %d\r\n\r\n" % size + body


def answer(value: Any) -> bytes:
    return http(xmlrpc.client.dumps((value,), methodresponse=True).encode())


def fault(code: int, text: str) -> bytes:
    return http(xmlrpc.client.dumps(xmlrpc.client.Fault(code, text)).encode())


def test_an_answer_comes_back_as_it_is(serve: Serve) -> None:
    path, asked = serve(answer([RAW]))
    assert call(path, "supervisor.getAllProcessInfo", "wéb", 1) == [RAW]
    assert xmlrpc.client.loads(asked[0].decode()) == (("wéb", 1), "supervisor.getAllProcessInfo")


def test_a_fault_is_told_with_its_code(serve: Serve) -> None:
    path, _ = serve(fault(STILL_RUNNING, "STILL_RUNNING: web"))
    with pytest.raises(SupervisorError, match="STILL_RUNNING: web") as caught:
        call(path, "supervisor.removeProcessGroup", "web")
    assert (caught.value.code, caught.value.reason) == (STILL_RUNNING, "SupervisorError")
    assert isinstance(caught.value, CeleriacError)
    assert not isinstance(caught.value, SupervisorGoneError)


def test_one_that_is_shutting_down_is_as_good_as_gone(serve: Serve) -> None:
    path, _ = serve(fault(SHUTDOWN, "SHUTDOWN_STATE"))
    with pytest.raises(SupervisorGoneError, match="shutting down"):
        call(path, "supervisor.getState")


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"HTTP/1.1 200",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        http(b"", 500),
        http(b"<?xml version='1.0'?><methodResponse><params><par", 500),
        answer([RAW] * 500)[:20_000],
        b"hello\r\n\r\n",
        http(b"hey!"),
    ],
    ids=["nothing", "half a line", "half a head", "no body", "half a tag", "half a list", "no HTTP", "no XML"],
)
def test_one_that_dies_in_the_middle_of_an_answer_is_gone(serve: Serve, said: bytes) -> None:
    path, _ = serve(said)
    with pytest.raises(SupervisorGoneError, match="does not answer"):
        call(path, "supervisor.getState")
    with pytest.raises(SupervisorGoneError):
        call_many(path, [("supervisor.getState", ())])


def test_where_nobody_listens_it_is_gone(tmp_path: Path) -> None:
    with pytest.raises(SupervisorGoneError):
        call(tmp_path / "none.sock", "supervisor.getState")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "dead.sock"))
    with pytest.raises(SupervisorGoneError):
        call(tmp_path / "dead.sock", "supervisor.getState")


def test_what_cannot_be_a_supervisor_is_not_said_to_be_gone(serve: Serve, tmp_path: Path) -> None:
    path, _ = serve(b"HTTP/1.1 500 Broken\r\nContent-Length: 0\r\n\r\n")
    for one in (path, tmp_path / ("d" * 120)):
        with pytest.raises(SupervisorError, match="cannot be reached") as caught:
            call(one, "supervisor.getState")
        assert not isinstance(caught.value, SupervisorGoneError)


def test_one_that_hangs_is_not_waited_for_and_not_said_to_be_gone(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
        server.listen(1)
        with pytest.raises(SupervisorError, match=r"did not answer supervisor\.getState within 0\.05s") as caught:
            call(tmp_path / "s", "supervisor.getState", timeout=0.05)
        assert not isinstance(caught.value, SupervisorGoneError)


def test_of_many_calls_the_expected_faults_become_nothing(serve: Serve) -> None:
    answers = [[RAW], {"faultCode": BAD_NAME, "faultString": "BAD_NAME: x"}, [True]]
    path, asked = serve(answer([answers[0][0], answers[1], answers[2][0]]))
    calls = [("supervisor.getProcessInfo", ("web:main",)), ("supervisor.getProcessInfo", ("x",)), ("a.b", ())]
    assert call_many(path, calls, ignore=(BAD_NAME,)) == [RAW, None, True]
    assert xmlrpc.client.loads(asked[0].decode()) == (
        ([{"methodName": method, "params": list(arguments)} for method, arguments in calls],),
        "system.multicall",
    )
    with pytest.raises(SupervisorError, match="BAD_NAME: x") as caught:
        call_many(path, calls, ignore=(STILL_RUNNING,))
    assert caught.value.code == BAD_NAME


def test_no_calls_need_no_supervisor(tmp_path: Path) -> None:
    assert call_many(tmp_path / "none.sock", []) == []


def test_a_process_is_up_only_with_an_id() -> None:
    info = parse_info(RAW)
    assert info == ProcessInfo("web", "main", "RUNNING", 7, 5.0, 0.0, 0, "")
    assert info.up
    assert parse_info({**RAW, "statename": "STOPPING"}).up
    assert not parse_info({**RAW, "pid": 0}).up
    assert not any(parse_info({**RAW, "statename": state}).up for state in ("BACKOFF", "EXITED", "FATAL", "STOPPED"))
