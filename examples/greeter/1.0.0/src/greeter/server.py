"""The command `greeter`: serves on $PORT of this machine until it is told to end, and finishes what it was asked."""

from __future__ import annotations

import json
import os
import signal
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version

from greeter.answers import begin, greeting, healthy

VERSION = version("greeter")


class Handler(BaseHTTPRequestHandler):
    """Answers `/` and `/health`, and writes no line per request."""

    protocol_version = "HTTP/1.1"
    wbufsize = 65536  # an answer leaves in one packet

    def do_GET(self) -> None:
        """Answer."""
        if self.path == "/health":
            self._answer(200 if healthy() else 500, {"healthy": healthy()})
        else:
            self._answer(200, {"greeting": greeting(), "version": VERSION, "process": os.getpid()})

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""

    def _answer(self, status: int, content: dict[str, object]) -> None:
        body = json.dumps(content).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main() -> None:
    """Serve until TERM."""
    begin()
    with ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler) as server:
        signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
        server.serve_forever(poll_interval=0.05)
