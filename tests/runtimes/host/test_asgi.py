"""The gate of an ASGI app, asked as a server asks: what goes through it unchanged, and what it counts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import pytest

from runtimes.host.asgi import AsgiGate
from runtimes.host.door import Door

Message = dict[str, Any]
App = Callable[..., Awaitable[None]]


class Client:
    """One connection: what the app is sent, and what came back."""

    def __init__(self, gate: AsgiGate, *sent: Message, type: str = "http", **scope: Any) -> None:
        self.gate = gate
        self.scope = {"type": type, **scope}
        self.answers: list[Message] = []
        self._sent = iter(sent)

    async def ask(self) -> list[Message]:
        """Have it served."""
        await self.gate(self.scope, self._receive, self._send)
        return self.answers

    async def _receive(self) -> Message:
        message = next(self._sent, None)
        if message is None:
            await asyncio.sleep(600)
        return message or {}

    async def _send(self, message: Message) -> None:
        self.answers.append(message)


def responding(headers: Callable[[], Iterable[tuple[bytes, bytes]]], seen: list[object], door: Door) -> App:
    """An app that answers with `headers`, and notes who is inside meanwhile."""

    async def app(scope: Message, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": headers()})
        counts = door.counts()
        seen.append((counts.in_flight, counts.long_lived))
        await send({"type": "http.response.body", "body": b"x"})

    return app


@pytest.mark.parametrize(
    ("name", "value", "inside"),
    [
        (b"content-type", b"text/event-stream", (0, 1)),
        (b"Content-Type", b"TEXT/Event-Stream; charset=utf-8", (0, 1)),
        (b"content-type", b"text/plain", (1, 0)),
        (b"x-type", b"text/event-stream", (1, 0)),
    ],
)
@pytest.mark.parametrize("kind", [list, tuple, iter])
def test_headers_reach_the_server_and_a_stream_of_events_is_long_lived(
    kind: Callable[[Any], Iterable[tuple[bytes, bytes]]], name: bytes, value: bytes, inside: tuple[int, int]
) -> None:
    door, seen, pairs = Door(), [], [(b"x-first", b"\xff\xe9"), (name, value), (b"x-last", b"")]
    gate = AsgiGate(responding(lambda: kind(pairs), seen, door), door)
    start, body = asyncio.run(Client(gate).ask())
    assert list(start["headers"]) == pairs
    assert body["body"] == b"x"
    assert seen == [inside]
    assert (door.counts().in_flight, door.counts().long_lived) == (0, 0)


def test_a_response_without_headers_goes_through() -> None:
    async def app(scope: Message, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 204})

    assert asyncio.run(Client(AsgiGate(app, Door())).ask())[0]["status"] == 204


def test_a_body_that_comes_in_parts_reaches_the_app_byte_for_byte() -> None:
    async def app(scope: Message, receive: Any, send: Any) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        await send({"type": "http.response.body", "body": body[::-1]})

    parts = [b"\x00\xff", b"", bytes(range(256))]
    sent = [{"type": "http.request", "body": part, "more_body": part is not parts[-1]} for part in parts]
    assert asyncio.run(Client(AsgiGate(app, Door()), *sent).ask())[0]["body"] == b"".join(parts)[::-1]


@pytest.mark.parametrize("error", [RuntimeError("boom"), asyncio.CancelledError()])
def test_an_app_that_raises_has_left(error: BaseException) -> None:
    async def app(scope: Message, receive: Any, send: Any) -> None:
        raise error

    door = Door()
    with pytest.raises(type(error)):
        asyncio.run(Client(AsgiGate(app, door)).ask())
    assert door.counts().in_flight == 0


def test_a_client_that_goes_away_while_it_is_held_is_never_inside() -> None:
    asked: list[Message] = []

    async def app(scope: Message, receive: Any, send: Any) -> None:
        asked.append(scope)

    async def scenario() -> None:
        task = asyncio.ensure_future(Client(AsgiGate(app, door)).ask())
        while not door.counts().held:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert door.counts().held == 0
        door.open()
        assert door.counts().in_flight == 0

    door = Door()
    door.shut(hold_seconds=60)
    asyncio.run(scenario())
    assert asked == []


def test_who_cannot_be_held_is_told_to_come_again_in_the_words_of_the_protocol() -> None:
    async def app(scope: Message, receive: Any, send: Any) -> None:
        raise AssertionError("it was not to be asked")

    door = Door()
    door.shut(queue=0)
    gate = AsgiGate(app, door)
    start, body = asyncio.run(Client(gate).ask())
    headers = dict(start["headers"])
    assert (start["status"], headers[b"retry-after"]) == (503, b"1")
    assert int(headers[b"content-length"]) == len(body["body"])
    closed = asyncio.run(Client(AsgiGate(app, door), {"type": "websocket.connect"}, type="websocket").ask())
    assert closed == [{"type": "websocket.close", "code": 1013}]


def lifespan_of(version: str, told: list[str], fails: bool = False) -> App:
    """An app with a lifespan; its requests tell what its startup left them, and may spoil only their own copy."""

    async def app(scope: Message, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            told.append(f"{version} serves with {scope['state']}")
            scope["state"]["mine"] = True
            return
        while True:
            kind = (await receive())["type"]
            told.append(f"{version} {kind.rpartition('.')[2]}")
            scope["state"]["from"] = version
            await send({"type": f"{kind}.{'failed' if fails else 'complete'}", "message": "no"})
            if kind == "lifespan.shutdown" or fails:
                return

    return app


def test_a_new_callable_is_started_before_it_serves_and_the_old_one_ended_after_its_last_request() -> None:
    told: list[str] = []
    gate = AsgiGate(lifespan_of("1", told), Door())

    async def scenario() -> list[Message]:
        down = asyncio.Event()
        server = Client(gate, {"type": "lifespan.startup"}, type="lifespan")
        messages = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])

        async def receive() -> Message:
            message = next(messages)
            if message["type"].endswith("shutdown"):
                await down.wait()
            return message

        server._receive = receive  # type: ignore[method-assign]
        living = asyncio.ensure_future(server.ask())
        while not server.answers:
            await asyncio.sleep(0)
        await Client(gate).ask()
        await Client(gate).ask()
        assert await gate.next(gate.app) is gate._generation
        gate.go_on_with(await gate.next(lifespan_of("2", told)))
        await Client(gate).ask()
        down.set()
        return await living

    answers = asyncio.run(scenario())
    assert [answer["type"] for answer in answers] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert told[:4] == ["1 startup", "1 serves with {'from': '1'}", "1 serves with {'from': '1'}", "2 startup"]
    assert sorted(told[4:]) == ["1 shutdown", "2 serves with {'from': '2'}", "2 shutdown"]
    assert told[-1] == "2 shutdown"


def test_a_startup_that_fails_is_told_to_the_server_and_nothing_else_is() -> None:
    gate = AsgiGate(lifespan_of("1", [], fails=True), Door())
    answers = asyncio.run(Client(gate, {"type": "lifespan.startup"}, type="lifespan").ask())
    assert answers == [{"type": "lifespan.startup.failed", "message": "no"}]
