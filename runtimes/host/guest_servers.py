"""The servers that can serve a guest: in a thread, ended without a signal, several in one process.

What is not here cannot do that: gunicorn is ended by signals, granian's threads are not Python's.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from typing import Any

from .door import Door
from .servers import KEEP_SECONDS, THREADS, hypercorn_config

STOP_SECONDS = 4  # for requests in flight; what has not ended then is cancelled
_ASGI, _WSGI = frozenset({"asgi"}), frozenset({"wsgi"})


class Stopper:
    """How a server is told to end. What is told before it can hear it, it hears then."""

    def __init__(self, door: Door) -> None:
        self.door = door
        self._lock = threading.Lock()
        self._stop: Callable[[], None] | None = None
        self.told = False

    def by(self, stop: Callable[[], None]) -> None:
        """`stop` ends the server, from any thread."""
        with self._lock:
            self._stop = stop
            told = self.told
        if told:
            stop()

    def stop(self) -> None:
        """Have the server end. Only the first word counts: later on there may be nothing left to tell."""
        with self._lock:
            stop = self._stop if not self.told else None
            self.told = True
        if stop is not None:
            stop()


Serve = Callable[[Any, socket.socket, str, Stopper], None]


def _uvicorn(gate: Any, listener: socket.socket, kind: str, stopper: Stopper) -> None:
    import uvicorn

    config = uvicorn.Config(
        gate, interface="asgi3", timeout_keep_alive=KEEP_SECONDS, timeout_graceful_shutdown=STOP_SECONDS
    )
    server = uvicorn.Server(config)
    stopper.by(lambda: setattr(server, "should_exit", True))
    server.run(sockets=[listener])
    if not server.started and not stopper.told:
        raise SystemExit("uvicorn did not start")


def _hypercorn(gate: Any, listener: socket.socket, kind: str, stopper: Stopper) -> None:
    from hypercorn.asyncio import serve

    config = hypercorn_config(listener, STOP_SECONDS)

    async def run() -> None:
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        stopper.by(lambda: _call_soon(loop, ended.set))
        await serve(gate, config, mode="wsgi" if kind == "wsgi" else "asgi", shutdown_trigger=ended.wait)

    asyncio.run(run())


def _waitress(gate: Any, listener: socket.socket, kind: str, stopper: Stopper) -> None:
    import waitress.server
    from waitress import wasyncore

    channels: dict[int, Any] = {}  # its own default is one for the whole process
    server = waitress.server.create_server(gate, map=channels, sockets=[listener], threads=THREADS)

    def stop() -> None:
        stopper.door.wait_empty(STOP_SECONDS)
        server.trigger.pull_trigger(lambda: wasyncore.close_all(channels))

    stopper.by(lambda: threading.Thread(target=stop, daemon=True).start())
    server.run()
    server.task_dispatcher.shutdown(timeout=1)


def _call_soon(loop: asyncio.AbstractEventLoop, what: Callable[[], None]) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(what)


SERVES: dict[str, Serve] = {"uvicorn": _uvicorn, "hypercorn": _hypercorn, "waitress": _waitress}
KINDS = {"uvicorn": _ASGI, "hypercorn": _ASGI | _WSGI, "waitress": _WSGI}


def choose(names: list[str], kind: str) -> str:
    """The first of `names` that can serve a guest of that kind; empty when there is none."""
    return next((name for name in names if kind in KINDS.get(name, ())), "")
