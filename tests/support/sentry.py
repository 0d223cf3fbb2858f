"""Somewhere for Sentry's SDK to send to: it keeps every envelope, and answers as it is told."""

from __future__ import annotations

import gzip
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Sentry:
    """An endpoint on a port of its own. Use it as a context manager."""

    def __init__(self) -> None:
        self.answer = 200
        self.requests = 0
        self.texts: list[str] = []
        self.items: list[tuple[str, Any]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Sentry:
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def dsn(self) -> str:
        """What SENTRY_DSN is set to."""
        return f"http://pub@127.0.0.1:{self._server.server_port}/1"

    def events(self) -> list[dict[str, Any]]:
        """The events that were accepted."""
        return [content for kind, content in self.items if kind == "event"]

    def take(self, body: bytes) -> None:
        """Keep an envelope: a line about all of it, then a line and a content for each item."""
        self.texts.append(body.decode(errors="replace"))
        _, _, rest = body.partition(b"\n")
        while rest:
            line, _, rest = rest.partition(b"\n")
            header = json.loads(line)
            length = header.get("length", len(rest.partition(b"\n")[0]))
            content, rest = rest[:length], rest[length:].removeprefix(b"\n")
            self.items.append((header["type"], json.loads(content)))

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                outer.requests += 1
                if outer.answer == 200:
                    outer.take(body)
                self.send_response(outer.answer)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *arguments: Any) -> None:
                pass

        return Handler
