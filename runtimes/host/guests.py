"""The shared host process of a node: `@guests` of its supervisor, run with `--guests <home>/guests`.

    control.sock        where attendants come (mode 0600); each connection is one guest, and lives as long
    site-packages       what guests share (`shared`)
    restart.json        why it ended itself, until somebody was told

It begins empty: its guests come with their attendants, which the supervisor starts again when the host is. A guest that
cannot be ended alone ends the whole process, which is started again without it.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path

from . import namespace, output
from .lodging import Given, Lodging, given_by
from .shared import SharedFolder
from .unixsocket import listen

_MESSAGE = 1024 * 1024
_END = 70


class Guests:
    """All guests of this process; `folder` is where it is reached."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._shared = SharedFolder(folder / "site-packages")
        self._guests: dict[str, Lodging] = {}
        self._lock = threading.Lock()
        self._ending = False

    def serve(self) -> None:
        """Take in guests until told to end."""
        sys.path.append(str(self._shared.path))
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listen(listener, self._folder / "control.sock")
        threading.Thread(target=self._accept, args=(listener,), name="accept", daemon=True).start()
        _wait_for_signal(signal.SIGTERM, signal.SIGINT)
        self._ending = True
        for guest in list(self._guests.values()):
            guest.stop()
        deadline = time.monotonic() + 7
        while self._guests and time.monotonic() < deadline:
            time.sleep(0.02)
        sys.stdout.flush()
        os._exit(0)  # a thread that waits in C code would hold up an ordinary end

    def _accept(self, listener: socket.socket) -> None:
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=self._attended, args=(connection,), daemon=True).start()

    def _attended(self, connection: socket.socket) -> None:
        """One guest, from the first word of its attendant to the last."""
        with connection:
            try:
                given = _receive(connection)
            except (OSError, KeyError, ValueError) as error:
                _say(connection, f"it did not understand the attendant: {type(error).__name__}")
                return
            why = self._lodge(given, connection)
            _say(connection, why)

    def _lodge(self, given: Given, connection: socket.socket) -> str:
        key = given.app if given.side == "blue" else f"{given.app}@{given.side}"
        before = self._guests.get(key)
        if before is not None and not before.join(9.0):
            given.close()
            return "an earlier guest of that name has not ended"
        guest = Lodging(key, given, self._shared)
        with self._lock:
            self._guests[key] = guest
        guest.start()
        threading.Thread(target=_wait_told, args=(connection, guest), daemon=True).start()
        guest.over.wait()
        if not guest.end():
            self._restart(key, "its server did not end")
        if guest.reason == "ExtensionLoaded":
            self._restart(key, guest.why)
        guest.close()
        with self._lock:
            if self._guests.get(key) is guest:
                del self._guests[key]
        return guest.why

    def _restart(self, guest: str, why: str) -> None:
        """End the process, since `guest` leaves no other way. The supervisor starts it again."""
        with self._lock:
            neighbours = sorted(self._guests.keys() - {guest})
            if not self._ending:
                note = json.dumps({"guest": guest, "why": why, "neighbours": neighbours})
                part = self._folder / "restart.part"
                part.write_text(note)
                part.replace(self._folder / "restart.json")
                print(f"celeriac: {guest}: {why}: all guests are started anew")  # noqa: T201 - our own log
            sys.stdout.flush()
            os._exit(_END)


def main(folder: str) -> None:
    """Be the shared host process."""
    faulthandler.enable()  # a guest that crashes the interpreter is found by what its threads were at
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    namespace.install()
    output.install()
    Guests(Path(folder)).serve()


def _wait_for_signal(*numbers: signal.Signals) -> None:
    """Wait until one comes, whichever thread the system gives it to: that alone would not wake the main one."""
    heard, tell = socket.socketpair()
    tell.setblocking(False)
    signal.set_wakeup_fd(tell.fileno())
    for number in numbers:
        signal.signal(number, lambda *_: None)
    heard.recv(1)


def _receive(connection: socket.socket) -> Given:
    """The first message of an attendant. Raises OSError, KeyError, ValueError."""
    content, descriptors, _, _ = socket.recv_fds(connection, _MESSAGE, 3)
    try:
        while not content.endswith(b"\n"):
            more = connection.recv(_MESSAGE)
            if not more or len(content) > _MESSAGE:
                raise ValueError("no end")
            content += more
        return given_by(json.loads(content), list(descriptors))
    except (OSError, KeyError, ValueError):
        for descriptor in descriptors:
            os.close(descriptor)
        raise


def _wait_told(connection: socket.socket, guest: Lodging) -> None:
    """Have `guest` stop when its attendant says so, or is gone."""
    with contextlib.suppress(OSError):
        connection.recv(_MESSAGE)
    guest.stop()
    guest.over.set()


def _say(connection: socket.socket, why: str) -> None:
    with contextlib.suppress(OSError):  # the attendant is gone
        connection.sendall(json.dumps({"message": why}).encode() + b"\n")
        connection.shutdown(socket.SHUT_RDWR)
