"""Load on a port, from a process of its own: `python -m bench.load PORT RATE new|kept`, until its input is closed.

Half a dozen clients share the rate, each on a connection that is new for every request, or kept for all. What it found
is one JSON object on its output: how many requests, which failed and how, and the longest one.
"""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self

_CLIENTS = 6
Connections = Literal["new", "kept"]


@dataclass
class Found:
    """What the clients saw."""

    requests: int = 0
    longest: float = 0.0
    failed: list[str] = field(default_factory=list)
    versions: dict[str, int] = field(default_factory=dict)


def client(port: int, pause: float, kept: bool, ended: threading.Event, found: Found, lock: threading.Lock) -> None:
    """Ask every `pause` seconds, by the clock: one slow answer does not make the load smaller."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    due = time.monotonic()
    while not ended.wait(max(0.0, due - time.monotonic())):
        due += pause
        began = time.monotonic()
        problem, version = "", ""
        try:
            connection.request("GET", "/")
            response = connection.getresponse()
            version = response.read().decode()
            problem = "" if response.status == 200 else f"status {response.status}"
        except (OSError, http.client.HTTPException) as error:
            problem = f"{type(error).__name__}: {error}"
        took = time.monotonic() - began
        if not kept or problem:
            connection.close()
        with lock:
            found.requests += 1
            found.longest = max(found.longest, took)
            found.versions[version] = found.versions.get(version, 0) + 1
            if problem:
                found.failed.append(problem)
    connection.close()


def main(arguments: Sequence[str]) -> None:
    """Load until the input ends, then tell."""
    port, rate, connections = int(arguments[0]), float(arguments[1]), arguments[2]
    found, lock, ended = Found(), threading.Lock(), threading.Event()
    clients = [
        threading.Thread(target=client, args=(port, _CLIENTS / rate, connections == "kept", ended, found, lock))
        for _ in range(_CLIENTS)
    ]
    for thread in clients:
        thread.start()
    for line in sys.stdin:
        if line.strip() == "count":
            print(found.requests, flush=True)
    ended.set()
    for thread in clients:
        thread.join()
    print(json.dumps(vars(found)), flush=True)


class Load:
    """The load as a context manager: its process, and what it found when it has ended."""

    def __init__(self, port: int, rate: float, connections: Connections) -> None:
        argv = [sys.executable, "-m", "bench.load", str(port), str(rate), connections]
        self._process = subprocess.Popen(
            argv, cwd=Path(__file__).parent.parent, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.found = Found()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        try:
            output, _ = self._process.communicate(timeout=60)
            self.found = Found(**json.loads(output.splitlines()[-1]))
        finally:
            self._process.kill()
            self._process.wait()

    def count(self) -> int:
        """How many requests have ended so far."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("count\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


if __name__ == "__main__":
    main(sys.argv[1:])
