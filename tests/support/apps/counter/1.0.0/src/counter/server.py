"""The command `counter`: serves on $PORT until it is told to end."""

from __future__ import annotations

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.metadata import version
from pathlib import Path

from counter.answers import HEALTHY, PATHS

_COUNT = Path("count")  # in the working folder, which upgrades and restarts leave alone


class Handler(BaseHTTPRequestHandler):
    wbufsize = 65536

    def do_GET(self) -> None:
        if self.path == "/health":
            self._answer(200 if HEALTHY else 500, {})
        elif self.path in PATHS:
            visitors = 1 + (int(_COUNT.read_text()) if _COUNT.exists() else 0)
            _COUNT.write_text(str(visitors))
            found = {"greeting": os.environ.get("GREETING", "hello"), "count": visitors}
            self._answer(200, {**found, "version": version("counter")})
        else:
            self._answer(404, {})

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _answer(self, status: int, content: dict[str, object]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main() -> None:
    port = int(os.environ["PORT"])
    print(f"counting on http://127.0.0.1:{port}", flush=True)
    sys.exit(HTTPServer(("127.0.0.1", port), Handler).serve_forever())
