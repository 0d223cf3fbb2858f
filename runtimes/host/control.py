"""The control socket: a Unix socket, mode 0600, one JSON object a line each way.

    {"command": "suspend", "seconds": 30}          {"ok": true, "lease": 3}
    {"command": "upgrade", "release": …}           {"ok": false, "reason": "ReloadFailed", "message": …}

Each connection has a thread, so `status` is answered while an upgrade goes on. `"bound": true` with suspend binds the
suspension to the connection. Where several guests share a process, `"guest"` says which one is meant; with one, it may
be left out.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from .failure import Refused
from .guest import Guest
from .unixsocket import listen

_MESSAGE = 64 * 1024


class Control:
    """Listens at `path`. `guests` is read at each message, so guests may come and go."""

    def __init__(self, path: Path, guests: Mapping[str, Guest], listener: socket.socket | None = None) -> None:
        """With `listener`, that is the one to listen with, and `path` is where it does."""
        self.path = path
        self._guests = guests
        self._given = listener
        self._socket = listener or socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)

    def start(self) -> None:
        """Listen from now on, in a thread of its own."""
        if self._given is None:
            listen(self._socket, self.path)
        threading.Thread(target=self._accept, name="celeriac-control", daemon=True).start()

    def close(self) -> None:
        """Listen no more."""
        if self._given is None:
            self.path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # it ends whoever waits in accept
        self._socket.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:  # closed
                return
            threading.Thread(target=self._serve, args=(connection,), name="celeriac-control", daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        bound: list[Callable[[], None]] = []
        ends: list[Callable[[], object]] = []
        try:
            with connection, connection.makefile("rb") as lines:
                for line in iter(lambda: lines.readline(_MESSAGE), b""):
                    answer = json.dumps(self._answer(line, bound, ends)).encode() + b"\n"
                    try:
                        connection.sendall(answer)
                    finally:  # only now, else the process may be gone before the answer is
                        while ends:
                            ends.pop()()
        except OSError:  # whoever asked is gone
            pass
        finally:
            for release in bound:
                release()

    def _answer(self, line: bytes, bound: list[Callable[[], None]], ends: list[Callable[[], object]]) -> dict[str, Any]:
        try:
            message = dict(json.loads(line))
            guest = self._guest(message.pop("guest", ""))
            name = message.pop("command")
            command = commands(guest)[name]
            binds = message.pop("bound", False)
            answer = command(**message)
        except Refused as refused:
            return {"ok": False, "reason": refused.reason, "message": str(refused)}
        except (KeyError, TypeError, ValueError) as error:
            return {"ok": False, "reason": "BadMessage", "message": f"{type(error).__name__}: {error}"}
        if name == "stop":
            ends.append(guest.stop)
        if binds and "lease" in answer:
            lease = answer["lease"]
            bound.append(lambda: guest.release_lease(lease))
        return {"ok": True, **answer}

    def _guest(self, name: str) -> Guest:
        if name:
            return self._guests[name]
        if len(self._guests) != 1:
            raise KeyError("guest")
        return next(iter(self._guests.values()))


def commands(guest: Guest) -> Mapping[str, Callable[..., dict[str, Any]]]:
    """What may be asked of a guest, by name."""
    return {
        "status": guest.status,
        "suspend": guest.suspend,
        "upgrade": guest.upgrade,
        "reconfigure": guest.reconfigure,
        "resume": guest.resume,
        "stop": guest.let_all_in,
    }
