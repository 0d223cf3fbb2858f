"""The servers that can serve a hosted app, each in this very process, so that gate and reload are where requests are.

Given are a gate and a listening socket; SIGTERM ends it, with what is in flight. A server is imported when it is
chosen. What its own settings are is left to it, where it reads them from the environment.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import importlib.util
import os
import shlex
import signal
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Any, NoReturn

THREADS = 16
BACKLOG = 2048
KEEP_SECONDS = 75  # for idle connections: longer than those who keep them, so that it is they who close
STOP_SECONDS = 8  # for requests in flight, after SIGTERM; the supervisor kills after ten


@dataclass(frozen=True)
class Server:
    """One server: what kinds of app it serves, and how. `lingers`: threads of its own may go on when it has ended."""

    name: str
    kinds: frozenset[str]
    serve: Callable[[Any, socket.socket, str], None]
    lingers: bool = False


def choose(names: Sequence[str], kind: str) -> Server | None:
    """The first of `names` that serves `kind` and is installed; None when there is none."""
    for name in names:
        server = SERVERS.get(name)
        if server is not None and kind in server.kinds and importlib.util.find_spec(name) is not None:
            return server
    return None


def listen(port: int) -> socket.socket:
    """A socket that listens on `port` of the loopback address. Raises OSError."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(BACKLOG)
    listener.setblocking(False)
    return listener


def leave() -> NoReturn:
    """End this process as Python does, all but for taking itself apart.

    A thread that is not Python's, and that nobody can wait for, would find no interpreter to call, and abort it.
    """
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(0)


def _uvicorn(gate: Any, listener: socket.socket, kind: str) -> None:
    import uvicorn

    server = uvicorn.Server(
        uvicorn.Config(gate, interface="asgi3", timeout_keep_alive=KEEP_SECONDS, timeout_graceful_shutdown=STOP_SECONDS)
    )
    server.run(sockets=[listener])
    if not server.started:
        sys.exit(3)


def _hypercorn(gate: Any, listener: socket.socket, kind: str) -> None:
    from hypercorn.asyncio import serve

    config = hypercorn_config(listener, STOP_SECONDS)

    async def run() -> None:
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        for one in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(one, ended.set)
        await serve(gate, config, mode="wsgi" if kind == "wsgi" else "asgi", shutdown_trigger=ended.wait)

    asyncio.run(run())


def hypercorn_config(listener: socket.socket, stop_seconds: float) -> Any:
    """The settings with which hypercorn serves on `listener`."""
    from hypercorn.config import Config

    config = Config()
    config.bind = [f"fd://{os.dup(listener.fileno())}"]
    config.keep_alive_timeout = float(KEEP_SECONDS)
    config.graceful_timeout = float(stop_seconds)
    return config


def _granian(gate: Any, listener: socket.socket, kind: str) -> None:
    from granian.constants import Interfaces
    from granian.server.embed import Server as Embedded

    port = listener.getsockname()[1]
    listener.close()  # it takes no socket of ours; that the port is free is known now

    async def run() -> None:
        server = Embedded(gate, address="127.0.0.1", port=port, interface=Interfaces.ASGI, backlog=BACKLOG)
        server.workers_kill_timeout = STOP_SECONDS
        told: list[int] = []

        def stop(number: int) -> None:
            told.append(number)
            server.stop()  # type: ignore[no-untyped-call]

        loop = asyncio.get_running_loop()
        for one in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(one, stop, one)
        await server.serve()
        if not told:
            sys.exit("celeriac: granian ended by itself")

    asyncio.run(run())


def _gunicorn(gate: Any, listener: socket.socket, kind: str) -> None:
    from gunicorn.app.base import BaseApplication
    from gunicorn.glogging import Logger
    from gunicorn.workers.gthread import ThreadWorker

    class Hosted(BaseApplication):  # type: ignore[misc]
        """The gate, with the settings of GUNICORN_CMD_ARGS, as far as they are not ours."""

        def load_config(self) -> None:
            self.cfg.set("threads", THREADS)
            self.cfg.set("keepalive", KEEP_SECONDS)
            self.cfg.set("graceful_timeout", STOP_SECONDS)
            given = os.environ.get("GUNICORN_CMD_ARGS")
            if given:
                options = self.cfg.parser().parse_args(shlex.split(given))
                for name, value in vars(options).items():
                    if value is not None and name != "args":
                        self.cfg.set(name.lower(), value)
            self.cfg.set("workers", 1)
            self.cfg.set("worker_class", "gthread")

        def load(self) -> Any:
            return gate

    class Worker(ThreadWorker):  # type: ignore[misc]
        """A worker that has no parent of gunicorn's own."""

        def is_parent_alive(self) -> bool:
            return True

        def init_signals(self) -> None:
            """As gunicorn does, but what the app set when it was imported stays: here that came first."""
            own = {one: signal.getsignal(one) for one in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)}
            super().init_signals()
            for one, handler in own.items():
                if callable(handler):
                    signal.signal(one, handler)

    hosted = Hosted()
    worker = Worker(1, os.getppid(), [listener], hosted, hosted.cfg.timeout, hosted.cfg, Logger(hosted.cfg))
    worker.pid = os.getpid()
    worker.init_process()


def _waitress(gate: Any, listener: socket.socket, kind: str) -> None:
    import waitress.server

    def end(number: int, frame: FrameType | None) -> None:
        raise SystemExit(0)

    server = waitress.server.create_server(gate, sockets=[listener], threads=THREADS)
    signal.signal(signal.SIGTERM, end)
    server.run()


_ASGI, _WSGI = frozenset({"asgi"}), frozenset({"wsgi"})
SERVERS = {
    server.name: server
    for server in (
        Server("uvicorn", _ASGI, _uvicorn),
        Server("hypercorn", _ASGI | _WSGI, _hypercorn),
        Server("granian", _ASGI, _granian, lingers=True),
        Server("gunicorn", _WSGI, _gunicorn),
        Server("waitress", _WSGI, _waitress),
    )
}
