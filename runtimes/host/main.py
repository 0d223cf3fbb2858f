"""Puts a host process together: `--servers NAME,… module:callable`, with the environment that the launcher made.

The order: code folder, app, listening socket, control socket, server. An app that cannot be imported ends the process
with its traceback in the log, before it takes a connection.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from .asgi import AsgiGate
from .codefolder import CodeFolder
from .control import Control
from .door import Door
from .environ import own_port
from .guest import Guest, Identity
from .servers import choose, leave, listen
from .target import kind_of, lookup
from .wsgi import WsgiGate


def main(arguments: Sequence[str]) -> None:
    """Serve until told to end."""
    parser = argparse.ArgumentParser(prog="celeriac-host", description="Serves one hosted app.")
    parser.add_argument("--servers", default="", help="those that the release brings, the best one first")
    parser.add_argument("target", metavar="module:callable")
    options = parser.parse_args(arguments)
    env_file = Path(os.environ["CELERIAC_ENV_FILE"])
    process = os.environ["CELERIAC_PROCESS"]
    run = env_file.parent / "run"
    port = own_port(os.environ)
    code = CodeFolder(run / f"{process}.code", Path(os.environ["CELERIAC_RELEASE"]))
    code.adopt()
    app = lookup(options.target)
    kind = kind_of(app)
    names = [name for name in options.servers.split(",") if name]
    server = choose(names, kind)
    if server is None:
        sys.exit(
            f"celeriac: {options.target} is {kind.upper()}, and of the servers that the release brings "
            f"({', '.join(names) or 'none'}) none serves that: add hypercorn to its dependencies"
        )
    door = Door()
    gate = AsgiGate(app, door) if kind == "asgi" else WsgiGate(app, door)
    identity = Identity(
        os.environ["CELERIAC_APP"],
        os.environ["CELERIAC_VERSION"],
        os.environ["CELERIAC_DIGEST"],
        os.environ["CELERIAC_REVISION"],
        process,
    )
    guest = Guest(options.target, gate, door, code, identity, env_file)
    guest.server = server.name
    try:
        listener = listen(port)
    except OSError as error:
        sys.exit(f"celeriac: port {port} cannot be listened on: {error.strerror}")
    control = Control(run / f"{process}.sock", {identity.app: guest})
    control.start()
    try:
        server.serve(gate, listener, kind)
    finally:
        control.close()
    if server.lingers:
        leave()
