"""What the supervisor runs in the place of a guest: it has the shared host process run the guest, and lives as long.

It opens what the guest is reached by (the listening socket on $PORT, the control socket, the log that its own output
goes to) and passes these to the host. So for everybody else it is the app: it holds the app's locks and port, bears its
stamps, is told to stop, and ends when the guest does. Who dies when:

    the guest ends         the host says so, and the attendant ends with an error: it is started again, alone
    the attendant ends     its connection does, and the host stops the guest
    the host ends          every connection does, and every attendant with an error: all are started again

Values of the environment file are not passed: the host reads the file.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from .environ import own_port
from .unixsocket import connect, listen

_PATIENCE = 9.0
_BACKLOG = 2048


def main(arguments: Sequence[str]) -> None:
    """Attend to a guest until it ends or is told to."""
    servers, target = arguments[arguments.index("--servers") + 1], arguments[-1]
    env_file = Path(os.environ["CELERIAC_ENV_FILE"])
    process = os.environ["CELERIAC_PROCESS"]
    run = env_file.parent / "run"
    port = own_port(os.environ)
    host = _connect(Path(os.environ["CELERIAC_GUESTS"]))
    told: list[int] = []

    def stop(number: int, frame: object) -> None:
        told.append(number)
        _say(host, {"command": "stop"})

    listener = _listen(port)
    control = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listen(control, run / f"{process}.sock")
    theirs = set(json.loads(env_file.read_bytes()))
    guest = {
        "target": target,
        "servers": servers,
        "run": str(run),
        "env_file": str(env_file),
        "variables": {name: value for name, value in os.environ.items() if name not in theirs},
    }
    message = json.dumps(guest).encode() + b"\n"
    descriptors = [listener.fileno(), control.fileno(), 1]
    with contextlib.suppress(ConnectionError):  # the host ended: what it said last, or that it said nothing, tells so
        sent = socket.send_fds(host, [message], descriptors)
        host.sendall(message[sent:])
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    answer = b""
    with contextlib.suppress(OSError):  # as when it ended
        answer = host.makefile("rb").readline()
    end = json.loads(answer) if answer.endswith(b"\n") else {"message": "the shared host process ended"}
    if told:
        sys.exit(0)
    sys.exit(f"celeriac: {end.get('message') or 'the guest ended by itself'}")


def _connect(path: Path) -> socket.socket:
    """A connection to the shared host, which may just be starting."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        host = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connect(host, path)
            return host
        except OSError:
            host.close()
            if time.monotonic() > deadline:
                sys.exit("celeriac: the shared host process does not answer: see the log @guests.log")
            time.sleep(0.05)


def _listen(port: int) -> socket.socket:
    """The guest's socket. The guest that an earlier attendant left may have to end first."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
            listener.listen(_BACKLOG)
            return listener
        except OSError as error:
            listener.close()
            if time.monotonic() > deadline:
                sys.exit(f"celeriac: port {port} cannot be listened on: {error.strerror}")
            time.sleep(0.05)


def _say(host: socket.socket, message: object) -> None:
    with contextlib.suppress(OSError):  # it ended, and we are about to know
        host.sendall(json.dumps(message).encode() + b"\n")
