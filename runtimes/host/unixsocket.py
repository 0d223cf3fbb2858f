"""Unix sockets at paths of any length, for their owner only: both ends of the host's control sockets."""

from __future__ import annotations

import os
import socket
from pathlib import Path

_LONGEST = 108 - 8  # what a Unix socket's path may have, and a little less


def listen(unix: socket.socket, path: Path) -> None:
    """Have `unix` listen at `path`, mode 0600, in the place of whoever did before."""
    path.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    before = os.umask(0o177)
    try:
        unix.bind(address(path, folder))
    finally:
        os.umask(before)
        os.close(folder)
    unix.listen(16)


def connect(unix: socket.socket, path: Path) -> None:
    """Connect `unix` to whoever listens at `path`. Raises OSError."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        unix.connect(address(path, folder))
    finally:
        os.close(folder)


def address(path: Path, folder: int) -> str:
    """What to bind or connect to for the socket `path`, whose folder is open as the descriptor `folder`.

    A path that is too long for a socket is reached through the descriptor.
    """
    return str(path) if len(os.fsencode(path)) < _LONGEST else f"/proc/self/fd/{folder}/{path.name}"
