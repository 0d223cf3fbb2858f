"""Speaks to the host process of a hosted app (`runtimes.host`) over its control socket.

Sure of whom it speaks to: the other end must be the very process that the supervisor runs. An answer that does not come
in time is a host that is gone; what that means is for the caller to say.
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from runtimes.host.unixsocket import connect

_STATUS_SECONDS = 2.0


class HostGone(Exception):  # noqa: N818 - a condition of the app, not a fault of ours
    """The host does not answer, or is not the process that it should be."""


class HostRefused(Exception):  # noqa: N818 - an answer
    """The host did not do what it was asked to, and is as it was before. `reason` is for machines."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class HostClient:
    """One connection to the host of `process`, which must be the process `pid`. `folder` is that of its env file.

    Raises HostGone, from every method.
    """

    def __init__(self, folder: Path, process: str, pid: int, *, timeout: float = _STATUS_SECONDS) -> None:
        path = folder / "run" / f"{process}.sock"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout)
        try:
            connect(self._socket, path)
            peer = _peer(self._socket)
        except OSError as error:
            self._socket.close()
            raise HostGone(f"its control socket does not answer: {error.strerror or type(error).__name__}") from error
        if peer not in (0, pid):
            self._socket.close()
            raise HostGone(f"its control socket belongs to process {peer}, not to {pid}")
        self._lines = self._socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connection; a suspension that is bound to it ends with it."""
        self._lines.close()
        self._socket.close()

    def ask(self, command: str, *, timeout: float = _STATUS_SECONDS, **fields: Any) -> Mapping[str, Any]:
        """Have `command` carried out. Raises HostRefused, HostGone."""
        try:
            self._socket.settimeout(timeout)
            self._socket.sendall(json.dumps({"command": command, **fields}).encode() + b"\n")
            answer = json.loads(self._lines.readline() or b"null")
        except (OSError, ValueError) as error:
            raise HostGone(f"no answer to {command}: {type(error).__name__}") from error
        if not isinstance(answer, dict):
            raise HostGone(f"it ended while it was asked to {command}")
        if not answer.get("ok"):
            raise HostRefused(str(answer.get("reason")), str(answer.get("message")))
        return answer


def running_digest(folder: Path, process: str, pid: int) -> str:
    """The digest of what a hosted process really runs, as it says itself; empty when it does not answer."""
    try:
        with HostClient(folder, process, pid) as host:
            return str(host.ask("status")["digest"])
    except (HostGone, HostRefused, KeyError):
        return ""


def _peer(connection: socket.socket) -> int:
    """The id of the process at the other end; 0 where the system does not tell."""
    if not hasattr(socket, "SO_PEERCRED"):
        return 0
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", credentials)[0])
