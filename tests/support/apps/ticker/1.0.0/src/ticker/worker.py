"""The command `ticker`: asks $COUNTER_URL once in $EVERY seconds and prints what it answers."""

from __future__ import annotations

import json
import os
import signal
import threading
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit


def main() -> None:
    """Tick until TERM."""
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda number, frame: ended.set())
    url = os.environ.get("COUNTER_URL", "http://127.0.0.1:8101")
    every = float(os.environ.get("EVERY", "1"))
    print(f"visiting {url} every {every:g}s", flush=True)
    while not ended.wait(every):
        print(visit(url), flush=True)


def visit(url: str) -> str:
    """What came of one visit, in one line. That counter does not answer is no reason to end."""
    target = urlsplit(url)
    connection = HTTPConnection(target.hostname or "127.0.0.1", target.port, timeout=5)
    try:
        connection.request("GET", target.path or "/")
        response = connection.getresponse()
        body = response.read()
        if response.status != 200:
            return f"counter answered {response.status}"
        answer = json.loads(body)
        return f"visitor {answer['count']} of counter {answer['version']}: {answer['greeting']}"
    except (OSError, HTTPException, ValueError, KeyError) as error:
        return f"counter does not answer: {type(error).__name__}"
    finally:
        connection.close()
