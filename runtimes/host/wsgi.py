"""The gate of a WSGI app: what the server calls in the app's place. A held request keeps its thread waiting."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from .door import Door, Ticket, Waiter

App = Callable[..., Iterable[bytes]]


class WsgiGate:
    """The app, with its door before it. `app` may be replaced while the door is shut and nobody is inside."""

    kind = "wsgi"

    def __init__(self, app: App, door: Door) -> None:
        self.app = app
        self._door = door

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Serve one request."""
        ticket = self._door.enter() or self._held()
        if ticket is None:
            return _refuse(start_response)

        def start(status: str, headers: Sequence[tuple[str, str]], *rest: Any, **named: Any) -> Any:
            if any(name.lower() == "content-type" and _streams(value) for name, value in headers):
                ticket.stay()
            return start_response(status, headers, *rest, **named)

        try:
            body = self.app(environ, start)
        except BaseException:
            ticket.leave()
            raise
        return _SizedBody(body, ticket) if hasattr(body, "__len__") else _Body(body, ticket)

    def _held(self) -> Ticket | None:
        let_in = threading.Event()
        waiter = Waiter(let_in.set)
        if not self._door.wait(waiter):
            return None
        if not let_in.wait(self._door.hold_seconds) and self._door.give_up(waiter):
            return None
        return self._door.admitted()


class _Body:
    """The app's answer; the request is over when the server closes it."""

    def __init__(self, body: Iterable[bytes], ticket: Ticket) -> None:
        self._body = body
        self._ticket = ticket

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._body)

    def close(self) -> None:
        """Close the app's answer, and leave."""
        try:
            close = getattr(self._body, "close", None)
            if close is not None:
                close()
        finally:
            self._ticket.leave()


class _SizedBody(_Body):
    """An answer whose number of parts is known, by which servers tell its length."""

    def __len__(self) -> int:
        return len(self._body)  # type: ignore[arg-type]


def _streams(content_type: str) -> bool:
    return content_type.lower().startswith("text/event-stream")


def _refuse(start_response: Callable[..., Any]) -> Iterable[bytes]:
    body = b"the app is being changed and cannot take more requests at the moment\n"
    headers = [("Content-Type", "text/plain"), ("Content-Length", str(len(body))), ("Retry-After", "1")]
    start_response("503 Service Unavailable", headers)
    return [body]
