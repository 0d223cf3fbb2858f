"""Private ports for exposed apps: no two apps of this user ever get the same one, whatever home they have.

    /tmp/celeriac-<uid>/ports/lock     who chooses holds it
    /tmp/celeriac-<uid>/ports/<port>   names the manifest that has the port; locked by the processes that live with it

The ports lie below (or above) those that the kernel gives to outgoing connections, so that none of these is ever in
the way. A port is free when nobody holds the lock of its file, the manifest that the file names does not have it, and
nobody has it bound, not even in TIME_WAIT. The lock is held by whoever chose it until the app's own processes hold it
(`runtimes.launching`). Killed at any line, what is left is a file that names a manifest without that port: a free port.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from celeriac.errors import CeleriacError
from runtimes.files import LockTimeoutError, locked

_FIRST, _LAST = 20000, 65535
_CHOOSING = 30.0
_IN_USE = errno.EADDRINUSE


class NoPrivatePortError(CeleriacError):
    """There is no port for an exposed app."""

    reason = "NoPrivatePort"


@dataclass(frozen=True, slots=True)
class Lease:
    """A port that is ours, and the file whose lock says so."""

    port: int
    lock: str


class _Owner(msgspec.Struct):
    port: int = 0


def folder() -> Path:
    """Where this user's ports are noted on this machine. Raises NoPrivatePortError when it is not ours alone."""
    base = Path(f"/tmp/celeriac-{os.getuid()}")  # noqa: S108 - the same for every home and TMPDIR; checked below
    found = base / "ports"
    for path in (base, found):
        with contextlib.suppress(FileExistsError):
            path.mkdir(mode=0o700)
        status = path.lstat()
        if path.is_symlink() or not path.is_dir() or status.st_uid != os.getuid() or status.st_mode & 0o077:
            raise NoPrivatePortError(f"{path} is not a private folder of ours", hint="remove it, or chmod 700 it")
    return found


def candidates() -> Iterable[int]:
    """The ports that the kernel gives to nobody by itself, lowest first."""
    low, high = _ephemeral()
    return (port for port in range(_FIRST, _LAST + 1) if not low <= port <= high)


@contextlib.contextmanager
def lease(manifest: Path) -> Iterator[Lease]:
    """A port for the app of `manifest`, which is to say so before the `with` block ends. Raises NoPrivatePortError."""
    where = folder()
    with contextlib.ExitStack() as held:
        try:
            with locked(where / "lock", timeout=_CHOOSING):
                chosen = next((port for port in candidates() if _take(where / str(port), port, manifest, held)), None)
        except LockTimeoutError:
            raise NoPrivatePortError("others have been choosing ports for too long", hint="try again") from None
        if chosen is None:
            raise NoPrivatePortError("no private port is free", hint="stop some apps of this machine")
        yield Lease(chosen, str(where / str(chosen)))


def _take(path: Path, port: int, manifest: Path, held: contextlib.ExitStack) -> bool:
    """Take `port` if it is free. Whoever chooses holds the lock of the folder, so nobody comes in between."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        owner = os.read(descriptor, 4096).decode(errors="replace")
        if (owner and _has(Path(owner), port)) or not _can_be_bound(port):
            os.close(descriptor)
            return False
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, os.fsencode(manifest), 0)
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)  # together with the app's own processes
    except BlockingIOError:
        os.close(descriptor)
        return False
    held.callback(os.close, descriptor)
    return True


def _has(manifest: Path, port: int) -> bool:
    try:
        return msgspec.json.decode(manifest.read_bytes(), type=_Owner).port == port
    except (OSError, ValueError, msgspec.MsgspecError):
        return False


def _can_be_bound(port: int) -> bool:
    for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):  # noqa: S104 - only to see
        try:
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind((address, port))
        except OSError as error:
            if family == socket.AF_INET or error.errno == _IN_USE:
                return False  # a machine without IPv6 says something else
    return True


def _ephemeral() -> tuple[int, int]:
    try:
        low, high = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()
        return int(low), int(high)
    except (OSError, ValueError):
        return 49152, 65535  # what the others take (RFC 6335)
