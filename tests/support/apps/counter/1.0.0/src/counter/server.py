"""The command `counter`: serves on $PORT of this machine until it is told to end."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from socketserver import ThreadingMixIn
from types import FrameType
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from counter.tally import Tally
from counter.web import application


class Server(ThreadingMixIn, WSGIServer):
    """Answers several requests at a time. Those under way are finished when it ends."""

    daemon_threads = False
    request_queue_size = 128


class Handler(WSGIRequestHandler):
    """Writes no line per request."""

    def log_message(self, format: str, *args: object) -> None:
        pass


def main() -> None:
    """Serve until TERM."""
    signal.signal(signal.SIGTERM, _end)
    port = int(os.environ.get("PORT", "8101"))
    app = application(Tally(Path("count")), os.environ)
    with make_server("127.0.0.1", port, app, server_class=Server, handler_class=Handler) as server:
        print(f"counting on http://127.0.0.1:{port}", flush=True)
        server.serve_forever()


def _end(number: int, frame: FrameType | None) -> None:
    sys.exit(0)
