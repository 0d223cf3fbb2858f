"""The gate of a WSGI app, asked as a server asks: generators, close(), start_response in all its forms."""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest
from waiting import wait_for

from runtimes.host.door import Door
from runtimes.host.wsgi import WsgiGate

PLAIN = [("Content-Type", "text/plain")]


class Server:
    """What a server does: it calls the app, goes through the answer, and closes it."""

    def __init__(self, app: Callable[..., Any]) -> None:
        self.door = Door()
        self.gate = WsgiGate(app, self.door)
        self.started: list[tuple[Any, ...]] = []
        self.written: list[bytes] = []

    def start_response(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[..., None]:
        """As in PEP 3333."""
        self.started.append((status, headers, exc_info))
        return self.written.append

    def begin(self) -> Any:
        """The app's answer."""
        return self.gate({}, self.start_response)

    def serve(self) -> bytes:
        """One whole request."""
        body = self.begin()
        try:
            return b"".join(self.written) + b"".join(body)
        finally:
            body.close()

    def inside(self) -> tuple[int, int]:
        """How many requests are inside, and how many of those are long-lived."""
        counts = self.door.counts()
        return counts.in_flight, counts.long_lived


class Closing:
    """An answer in parts that notes when it is closed."""

    def __init__(self, parts: Iterable[bytes], fails: bool = False) -> None:
        self._parts = parts
        self._fails = fails
        self.closed = 0

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._parts)

    def close(self) -> None:
        """Once for each request."""
        self.closed += 1
        if self._fails:
            raise OSError("cannot be closed")


def test_a_generator_is_inside_until_its_answer_is_closed_and_is_closed_itself() -> None:
    ended = []

    def app(environ: object, start_response: Any) -> Iterator[bytes]:
        try:
            start_response("200 OK", PLAIN)
            yield b"a"
            yield b"b"
        finally:
            ended.append(True)

    server = Server(app)
    body = server.begin()
    assert (server.started, server.inside()) == ([], (1, 0))
    assert next(iter(body)) == b"a"
    body.close()
    assert (ended, server.inside()) == ([True], (0, 0))
    assert Server(app).serve() == b"ab"


@pytest.mark.parametrize("value", ["text/event-stream", "Text/Event-Stream; charset=utf-8"])
def test_a_generator_that_says_late_that_it_streams_is_long_lived_from_then_on(value: str) -> None:
    def app(environ: object, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [("CONTENT-type", value)])
        yield b"data: 1\n\n"

    server = Server(app)
    body = server.begin()
    assert server.inside() == (1, 0)
    next(iter(body))
    assert server.inside() == (0, 1)
    body.close()
    assert server.inside() == (0, 0)


def test_the_answer_of_the_app_is_closed_once_and_whoever_has_left_is_out_whatever_that_raises() -> None:
    answer = Closing([b"x"], fails=True)
    server = Server(lambda environ, start_response: answer)
    body = server.begin()
    with pytest.raises(OSError, match="cannot be closed"):
        body.close()
    assert (answer.closed, server.inside()) == (1, (0, 0))


def test_an_answer_that_breaks_off_has_left_once_it_is_closed() -> None:
    def app(environ: object, start_response: Any) -> Iterator[bytes]:
        yield b"a"
        raise KeyError("boom")

    server = Server(app)
    with pytest.raises(KeyError):
        server.serve()
    assert server.inside() == (0, 0)


def test_an_app_that_raises_has_left() -> None:
    def app(environ: object, start_response: Any) -> list[bytes]:
        raise SystemExit(3)

    server = Server(app)
    with pytest.raises(SystemExit):
        server.begin()
    assert server.inside() == (0, 0)


def test_the_number_of_parts_is_told_where_the_app_tells_it() -> None:
    assert len(Server(lambda environ, start_response: [b"a", b"b"]).begin()) == 2
    assert not hasattr(Server(lambda environ, start_response: iter([b"a"])).begin(), "__len__")


@pytest.mark.parametrize("named", [False, True])
def test_an_error_page_in_place_of_what_was_begun_reaches_the_server(named: bool) -> None:
    def app(environ: object, start_response: Any) -> list[bytes]:
        start_response("200 OK", PLAIN)
        try:
            raise ValueError("late")
        except ValueError:
            error = sys.exc_info()
            if named:
                start_response("500 Oops", PLAIN, exc_info=error)
            else:
                start_response("500 Oops", PLAIN, error)
        return [b"sorry"]

    server = Server(app)
    assert server.serve() == b"sorry"
    assert [(status, error and error[0]) for status, _, error in server.started] == [
        ("200 OK", None), ("500 Oops", ValueError),
    ]  # fmt: skip


def test_what_an_app_writes_goes_before_what_it_returns() -> None:
    def app(environ: object, start_response: Any) -> list[bytes]:
        start_response("200 OK", PLAIN)(b"written ")
        return [b"returned"]

    assert Server(app).serve() == b"written returned"


def test_a_held_request_keeps_its_thread_until_the_door_opens() -> None:
    server = Server(lambda environ, start_response: [b"x"])
    server.door.shut(hold_seconds=60)
    answers: list[bytes] = []
    waiting = threading.Thread(target=lambda: answers.append(server.serve()))
    waiting.start()
    wait_for(lambda: server.door.counts().held == 1)
    assert answers == []
    server.door.open()
    waiting.join(20)
    assert (answers, server.inside()) == ([b"x"], (0, 0))


@pytest.mark.parametrize("door", [{"queue": 0}, {"hold_seconds": 0.01}])
def test_who_cannot_be_held_is_told_to_come_again(door: dict[str, Any]) -> None:
    server = Server(lambda environ, start_response: [b"x"])
    server.door.shut(**door)
    (body,) = server.begin()
    ((status, headers, _),) = server.started
    assert status == "503 Service Unavailable"
    assert dict(headers)["Retry-After"] == "1"
    assert int(dict(headers)["Content-Length"]) == len(body)
    assert server.inside() == (0, 0)


def test_the_gate_keeps_to_the_protocol_on_both_sides() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        body = environ["wsgi.input"].read(4)
        start_response("200 OK", [*PLAIN, ("Content-Length", "4")])
        return [body[::-1]]

    environ: dict[str, Any] = {"REQUEST_METHOD": "POST", "QUERY_STRING": "", "wsgi.input": io.BytesIO(b"\x00\xff\r\n")}
    setup_testing_defaults(environ)
    server = Server(app)
    checked = validator(WsgiGate(validator(app), server.door))
    body = checked(environ, lambda status, headers, exc_info=None: server.written.append)
    assert b"".join(body) == b"\n\r\xff\x00"
    body.close()  # type: ignore[attr-defined]
    assert server.inside() == (0, 0)
