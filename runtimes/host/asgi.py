"""The gate of an ASGI app: what the server calls in the app's place.

Lives in one event loop. A held request waits without a thread. WebSockets and streams of events are let in like every
other request, and then nobody waits for them; they keep the callable that they began with.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from .door import Door, Ticket, Waiter
from .lifespan import Lifespan, StartupFailed

App = Callable[..., Awaitable[Any]]
Message = dict[str, Any]
Send = Callable[[Message], Awaitable[None]]


class Generation:
    """One callable of the app, with its lifespan and the connections that it serves."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.lifespan: Lifespan | None = None
        self.users = 0
        self.retired = False

    async def begin(self) -> None:
        """Go through the app's startup. Raises StartupFailed; then nothing of it is left."""
        self.lifespan = Lifespan(self.app)
        try:
            await self.lifespan.startup()
        except BaseException:
            await self.lifespan.cancel()
            raise

    async def end(self) -> None:
        """Go through the app's shutdown."""
        problem = await self.lifespan.shutdown() if self.lifespan is not None else ""
        if problem:
            print(f"celeriac: {problem}", file=sys.stderr, flush=True)  # noqa: T201 - the app's log


class AsgiGate:
    """The app, with its door before it."""

    kind = "asgi"

    def __init__(self, app: App, door: Door) -> None:
        self._door = door
        self._generation = Generation(app)
        self._ends: set[asyncio.Task[None]] = set()
        self.loop: asyncio.AbstractEventLoop | None = None

    @property
    def app(self) -> App:
        """The callable that new requests get."""
        return self._generation.app

    async def __call__(self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Send) -> None:
        """Serve one connection."""
        if self.loop is None:
            self.loop = asyncio.get_running_loop()
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        ticket = self._door.enter() or await self._held()
        if ticket is None:
            await _refuse(scope, receive, send)
            return
        generation = self._generation
        generation.users += 1
        if generation.lifespan is not None and generation.lifespan.supported:
            scope["state"] = generation.lifespan.state.copy()
        try:
            if scope["type"] == "http":
                await generation.app(scope, receive, _watching(send, ticket))
            else:
                ticket.stay()
                await generation.app(scope, receive, send)
        finally:
            ticket.leave()
            generation.users -= 1
            if generation.retired and not generation.users:
                self._end(generation)

    async def next(self, app: App) -> Generation:
        """What will serve `app`, started up; the present one where it is the same callable. Raises StartupFailed."""
        if app is self._generation.app:
            return self._generation
        generation = Generation(app)
        await generation.begin()
        return generation

    def go_on_with(self, generation: Generation) -> None:
        """Have new requests served by `generation`; the old one ends when its last connection does."""
        old = self._generation
        if old is generation:
            return
        self._generation = generation
        old.retired = True
        if not old.users:
            self._end(old)

    def _end(self, generation: Generation) -> None:
        task = asyncio.ensure_future(generation.end())
        self._ends.add(task)
        task.add_done_callback(self._ends.discard)

    async def _live(self, receive: Callable[[], Awaitable[Message]], send: Send) -> None:
        """Speak to the server for the app."""
        await receive()
        try:
            await self._generation.begin()
        except StartupFailed as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        for task in list(self._ends):
            await task
        await self._generation.end()
        await send({"type": "lifespan.shutdown.complete"})

    async def _held(self) -> Ticket | None:
        loop = asyncio.get_running_loop()
        let_in: asyncio.Future[None] = loop.create_future()

        def admit() -> None:
            loop.call_soon_threadsafe(_fulfil, let_in)

        waiter = Waiter(admit)
        if not self._door.wait(waiter):
            return None
        try:
            await asyncio.wait([let_in], timeout=self._door.hold_seconds)
        except asyncio.CancelledError:  # the client went away
            if not self._door.give_up(waiter):
                self._door.admitted().leave()
            raise
        if not let_in.done() and self._door.give_up(waiter):
            return None
        return self._door.admitted()


def _fulfil(let_in: asyncio.Future[None]) -> None:
    if not let_in.done():
        let_in.set_result(None)


def _watching(send: Send, ticket: Ticket) -> Send:
    """`send`, which notes that a response is a stream of events."""

    async def watched(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = list(message.get("headers", ()))  # of what can be gone through once the server gets all, too
            message = {**message, "headers": headers}
            if any(
                name.lower() == b"content-type" and value.lower().startswith(b"text/event-stream")
                for name, value in headers
            ):
                ticket.stay()
        await send(message)

    return watched


async def _refuse(scope: Message, receive: Callable[[], Awaitable[Message]], send: Send) -> None:
    if scope["type"] != "http":
        await receive()
        await send({"type": "websocket.close", "code": 1013})
        return
    body = b"the app is being changed and cannot take more requests at the moment\n"
    headers = [
        (b"content-type", b"text/plain"),
        (b"content-length", str(len(body)).encode()),
        (b"retry-after", b"1"),
    ]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": body})
