"""An app to send traffic to: `/` at once, `/slow` after a while, `/ws` a WebSocket that stays. Standard library only.

    python traffic_app.py PORT|unix:PATH [VERSION]

It keeps connections alive, and on TERM does what good servers do: takes no more, ends what it is at, closes the idle.
It is told by its environment: CELERIAC_VERSION, ILL (its health check fails), LATE (seconds until it listens). In its
working folder a file `seen.<version>` grows by a byte per request that is no health check.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import os
import signal
import sys

SLOW = 0.3
VERSION = sys.argv[2] if len(sys.argv) > 2 else os.environ.get("CELERIAC_VERSION", "?")
at_work: set[asyncio.Task[None]] = set()
idle: set[asyncio.StreamWriter] = set()
stopping = asyncio.Event()


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer the requests of one connection."""
    try:
        while not stopping.is_set():
            idle.add(writer)
            head = await reader.readuntil(b"\r\n\r\n")
            idle.discard(writer)
            task = asyncio.ensure_future(answer(head.decode("latin-1"), reader, writer))
            at_work.add(task)
            task.add_done_callback(at_work.discard)
            await task
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        idle.discard(writer)
        writer.close()


async def answer(head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer one request."""
    first, *lines = head.split("\r\n")
    path = first.split(" ")[1]
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if path != "/health":
        with open(f"seen.{VERSION}", "ab") as seen:  # noqa: PTH123
            seen.write(b".")
    if path == "/ws":
        await websocket(headers["sec-websocket-key"], reader, writer)
        return
    if path == "/slow":
        await asyncio.sleep(SLOW)
    ill = path == "/health" and os.environ.get("ILL")
    body = VERSION.encode()
    status = "500 Internal Server Error" if ill else "200 OK"
    writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
    await writer.drain()


async def websocket(key: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Echo frames until the other side is gone."""
    token = base64.b64encode(hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()).decode()
    writer.write(
        f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {token}\r\n\r\n".encode()
    )
    with contextlib.suppress(asyncio.CancelledError):  # cut off by the end of the app
        while frame := await reader.read(4096):
            writer.write(frame)
            await writer.drain()


async def main() -> None:
    """Serve until told to stop."""
    await asyncio.sleep(float(os.environ.get("LATE", "0")))
    where = sys.argv[1]
    if where.startswith("unix:"):
        server = await asyncio.start_unix_server(serve, where.removeprefix("unix:"))
    else:
        server = await asyncio.start_server(serve, "127.0.0.1", int(where), backlog=512)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    print("serving", VERSION, flush=True)
    await stopping.wait()
    server.close()
    for writer in list(idle):
        writer.close()
    if at_work:
        await asyncio.wait(at_work, timeout=1)


with contextlib.suppress(asyncio.CancelledError):
    asyncio.run(main())
