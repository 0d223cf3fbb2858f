"""What counter answers: a WSGI app around a tally."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication

from counter.tally import Tally

VERSION = version("counter")


def application(tally: Tally, environ: Mapping[str, str]) -> WSGIApplication:
    """The app. GREETING in `environ` is part of every answer; COUNTER_BROKEN=1 makes it say that it is ill."""
    greeting = environ.get("GREETING", "hello")

    def healthy() -> bool:
        return environ.get("COUNTER_BROKEN") != "1"

    def answer(path: str) -> tuple[str, dict[str, Any]]:
        if path == "/":
            return "200 OK", {"greeting": greeting, "count": tally.increase(), "version": VERSION}
        if path == "/health":
            return ("200 OK" if healthy() else "500 Internal Server Error"), {"healthy": healthy()}
        return "404 Not Found", {"error": f"there is nothing at {path}"}

    def app(request: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        status, content = answer(request.get("PATH_INFO") or "/")
        body = json.dumps(content).encode() + b"\n"
        start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]

    return app
