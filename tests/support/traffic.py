"""Traffic, from a process of its own: requests at a steady rate, on new and on kept-alive connections, and WebSockets.

    python traffic.py PORT RATE WEBSOCKETS [HOST]

Half of the requests are each on a connection of their own, half on a few that are kept. Every tenth is slow. It
begins when it has printed a line, ends when its standard input is closed, and then prints what it saw as JSON. A
request has failed when its answer is not 200, or does not come, or its connection is reset; nothing is tried again.
`Traffic` starts it and reads what it saw.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import subprocess
import sys
import time
from collections import Counter
from typing import Any, Self

_KEPT = 8
_LIMIT = 30.0


class Traffic:
    """Traffic to a port for the length of a `with` block; `seen` tells what came of it."""

    def __init__(self, port: int, rate: float = 100.0, websockets: int = 0, host: str = "localhost") -> None:
        argv = [sys.executable, __file__, str(port), str(rate), str(websockets), host]
        self._process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self._process.stdout.readline()
        self.seen: dict[str, Any] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.end()

    def end(self) -> dict[str, Any]:
        """End it; what it saw: per kind the `sent`, `failed` (by why), `longest`, and the `versions` that answered."""
        if not self.seen:
            out, _ = self._process.communicate("", timeout=_LIMIT + 30)
            self.seen = json.loads(out)
        return self.seen


class Seen:
    """What came of one kind of request."""

    def __init__(self) -> None:
        self.sent = 0
        self.failed: Counter[str] = Counter()
        self.longest = 0.0
        self.versions: list[str] = []

    def told(self) -> dict[str, Any]:
        """As JSON takes it."""
        return {"sent": self.sent, "failed": dict(self.failed), "longest": self.longest, "versions": self.versions}


class Connection:
    """One connection to the port."""

    def __init__(self, port: int, host: str) -> None:
        self.port, self.host = port, host
        self.reader: asyncio.StreamReader | None = None
        self.writer: asyncio.StreamWriter | None = None

    async def ask(self, path: str, *more: str) -> tuple[int, str]:
        """Status and body of GET `path`."""
        if self.writer is None:
            self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        assert self.reader is not None
        lines = [f"GET {path} HTTP/1.1", f"Host: {self.host}", *more, "", ""]
        self.writer.write("\r\n".join(lines).encode())
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        status = int(head.split(" ")[1])
        length = next((int(line.split(":")[1]) for line in head.split("\r\n") if line.startswith("content-length")), 0)
        body = (await self.reader.readexactly(length)).decode()
        if "connection: close" in head:
            self.close()
        return status, body

    def close(self) -> None:
        """Close it; the next request opens another."""
        if self.writer is not None:
            self.writer.close()
            self.writer = None


async def request(seen: Seen, connection: Connection, path: str) -> None:
    """Send one request and note what came of it."""
    seen.sent += 1
    began = time.monotonic()
    try:
        status, version = await asyncio.wait_for(connection.ask(path), _LIMIT)
        if status != 200:
            seen.failed[str(status)] += 1
        elif version not in seen.versions:
            seen.versions.append(version)
    except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
        seen.failed[type(error).__name__] += 1
        connection.close()
    seen.longest = max(seen.longest, time.monotonic() - began)


async def websocket(seen: Seen, port: int, host: str, ended: asyncio.Event) -> None:
    """Hold a WebSocket open, asking something every now and then; failed when it closes before the end."""
    connection = Connection(port, host)
    key = base64.b64encode(os.urandom(16)).decode()
    seen.sent += 1
    try:
        await connection.ask(
            "/ws", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}"
        )
        assert connection.reader is not None
        assert connection.writer is not None
        while not ended.is_set():
            frame = b"\x81\x85\0\0\0\0hello"
            connection.writer.write(frame)
            await connection.reader.readexactly(len(frame))
            await asyncio.sleep(0.05)
    except (OSError, asyncio.IncompleteReadError) as error:
        seen.failed[type(error).__name__] += 1
    connection.close()


async def main(port: int, rate: float, websockets: int, host: str) -> dict[str, Any]:
    """Send until standard input is closed."""
    ended = asyncio.Event()
    asyncio.get_running_loop().run_in_executor(None, lambda: (sys.stdin.read(), loop.call_soon_threadsafe(ended.set)))
    loop = asyncio.get_running_loop()
    new, kept, sockets = Seen(), Seen(), Seen()
    idle = [Connection(port, host) for _ in range(_KEPT)]
    tasks = [asyncio.ensure_future(websocket(sockets, port, host, ended)) for _ in range(websockets)]
    print("sending", flush=True)
    began, number = time.monotonic(), 0
    while not ended.is_set():
        number += 1
        path = "/slow" if number % 20 in (0, 1) else "/"
        if number % 2:
            connection = Connection(port, host)
            task = asyncio.ensure_future(request(new, connection, path))
            task.add_done_callback(lambda _, one=connection: one.close())
        else:
            connection = idle.pop(0) if idle else Connection(port, host)
            task = asyncio.ensure_future(request(kept, connection, path))
            task.add_done_callback(lambda _, one=connection: idle.append(one))
        tasks.append(task)
        tasks = [one for one in tasks if not one.done()] if number % 500 == 0 else tasks
        await asyncio.sleep(max(began + number / rate - time.monotonic(), 0))
    await asyncio.wait(tasks, timeout=_LIMIT)
    return {"new": new.told(), "kept": kept.told(), "websockets": sockets.told()}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]), sys.argv[4]))))
