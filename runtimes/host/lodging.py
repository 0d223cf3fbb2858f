"""One guest of the shared host process: its thread, from the first import until nothing of it runs any more.

A guest is ended in steps, as far as Python allows: its server is told to stop, and has a few seconds for requests in
flight; then SystemExit is raised in its threads. A thread that waits in C code gets that when it wakes, and runs no
more of the guest's code. A server that does not end even so cannot be ended alone (`end` says so).
"""

from __future__ import annotations

import ctypes
import json
import os
import socket
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from . import environ, output
from .asgi import AsgiGate
from .codefolder import CodeFolder
from .control import Control
from .door import Door
from .failure import Refused
from .guest import Guest, Identity
from .guest_servers import SERVES, STOP_SECONDS, Stopper, choose
from .namespace import Namespace
from .shared import SharedFolder, dependencies
from .target import kind_of, lookup
from .wsgi import WsgiGate

_HARD_SECONDS = 2.0
_CALM_SECONDS = 0.5


@dataclass
class Given:
    """What the attendant gave: what is to run, and what it is reached by."""

    target: str
    servers: list[str]
    run: Path
    env_file: Path
    variables: dict[str, str]
    listener: socket.socket
    control: socket.socket
    log: TextIO

    @property
    def app(self) -> str:
        """The name of the app."""
        return self.variables["CELERIAC_APP"]

    @property
    def side(self) -> str:
        """Which generation of the app."""
        return self.variables["CELERIAC_SIDE"]

    def close(self) -> None:
        """Let go of what it is reached by."""
        self.listener.close()
        self.control.close()
        self.log.close()


class Lodging:
    """A guest, `key` among its neighbours. `over` is set when it has ended or is to end; `why` is what ended it, empty
    where that was asked for, and `reason` the same for machines.
    """

    def __init__(self, key: str, given: Given, shared: SharedFolder) -> None:
        self.key = key
        self.log = given.log
        self.why = ""
        self.reason = ""
        self.over = threading.Event()
        self._given = given
        self._shared = shared
        self._door = Door()
        self._stopper = Stopper(self._door)
        self._thread = threading.Thread(target=self._run, name=f"guest {key}", daemon=True)
        output.belongs_to(self._thread, self)

    def start(self) -> None:
        """Have it run."""
        self._thread.start()

    def join(self, seconds: float | None = None) -> bool:
        """Wait until its server has ended; whether it has."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def stop(self) -> None:
        """Ask its server to end; waits for nothing."""
        self._door.open()
        self._stopper.stop()

    def end(self) -> bool:
        """Have nothing of it run any more; false when its server cannot be ended."""
        self.stop()
        if not self.join(STOP_SECONDS + 0.5):
            _raise_in([self._thread])
            if not self.join(_HARD_SECONDS):
                return False
        self._end_threads()
        return True

    def close(self) -> None:
        """Let go of all that it had. Nothing of it runs."""
        self._shared.leave(self)
        self._given.close()

    def _end_threads(self) -> None:
        """End the threads that it started, beside its server's own. Most do so by themselves: they get a moment."""
        begun = time.monotonic()
        raised = 0
        while left := [one for one in output.threads_of(self) if one is not threading.current_thread()]:
            waited = time.monotonic() - begun
            if waited > _HARD_SECONDS:
                names = ", ".join(sorted(one.name for one in left))
                print(f"celeriac: ends when it wakes: {names}", file=self.log, flush=True)
                return
            if waited > (raised + 1) * _CALM_SECONDS:
                raised += 1
                _raise_in(left)
            time.sleep(0.02)

    def _run(self) -> None:
        try:
            self._serve()
            if not self._stopper.told:
                self.why = "its server ended by itself"
        except Refused as refused:
            self.why, self.reason = str(refused), refused.reason
        except SystemExit as ended:
            self.why = "" if self._stopper.told else f"it ended itself: {ended.code}"
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is the guest's alone
            traceback.print_exc()
            self.why = f"{type(error).__name__} ended it"
        finally:
            self.over.set()

    def _serve(self) -> None:
        given, variables = self._given, self._given.variables
        variables.update(environ.read_env(given.env_file))
        release = Path(variables["CELERIAC_RELEASE"])
        distribution = _distribution(release)
        self._shared.join(self, given.app, dependencies(release, distribution))
        process = variables["CELERIAC_PROCESS"]
        code = CodeFolder(given.run / f"{process}.code", release)
        code.point(release)
        space = Namespace(given.app, code, distribution, variables)
        space.open()
        try:
            app = lookup(f"{space.prefix}{given.target}")
            kind = kind_of(app)
            server = choose(given.servers, kind)
            if not server:
                raise Refused(
                    "NoServer",
                    f"{given.target} is {kind.upper()}, and of the servers that the release brings "
                    f"({', '.join(given.servers) or 'none'}) none serves that as a guest: "
                    f"add {'uvicorn' if kind == 'asgi' else 'waitress'} or hypercorn to its dependencies",
                )
            gate = AsgiGate(app, self._door) if kind == "asgi" else WsgiGate(app, self._door)
            identity = Identity(*(variables[f"CELERIAC_{name}"] for name in _IDENTITY))
            guest = Guest(
                given.target,
                gate,
                self._door,
                code,
                identity,
                given.env_file,
                prefix=space.prefix,
                variables=variables,
                end=self._stopper.stop,
            )
            guest.server = server
            control = Control(given.run / f"{process}.sock", {given.app: guest}, given.control)
            control.start()
            try:
                SERVES[server](gate, given.listener, kind, self._stopper)
            finally:
                control.close()
        finally:
            space.close()


_IDENTITY = ("APP", "VERSION", "DIGEST", "REVISION", "PROCESS")


def given_by(message: Mapping[str, Any], descriptors: list[int]) -> Given:
    """What an attendant said and passed. Raises KeyError, ValueError."""
    listener, control, log = descriptors
    listening = socket.socket(fileno=listener)
    listening.setblocking(False)
    return Given(
        str(message["target"]),
        [name for name in str(message["servers"]).split(",") if name],
        Path(message["run"]),
        Path(message["env_file"]),
        {**{str(name): str(value) for name, value in message["variables"].items()}, "CELERIAC_DATA": _data(message)},
        listening,
        socket.socket(fileno=control),
        os.fdopen(log, "w", buffering=1, encoding="utf-8", errors="backslashreplace"),
    )


def _data(message: Mapping[str, Any]) -> str:
    """The app's working folder, which is the working folder of its attendant only."""
    return str(Path(message["env_file"]).parent.parent / "data")


def _distribution(release: Path) -> str:
    try:
        return str(json.loads((release / "release.json").read_bytes()).get("distribution", ""))
    except (OSError, ValueError):
        return ""


def _raise_in(threads: list[threading.Thread]) -> None:
    """Raise SystemExit in `threads`; not in one that begins or ends, which may hold a lock of `threading`."""
    for thread in threads:
        frame = sys._current_frames().get(thread.ident or 0)
        if frame is None or (frame.f_code.co_filename == threading.__file__ and frame.f_code.co_name in _AT_THE_EDGE):
            continue
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(SystemExit))


_AT_THE_EDGE = frozenset(
    {"_bootstrap", "_bootstrap_inner", "_delete", "_stop", "_set_ident", "_set_native_id", "_set_tstate_lock", "set"}
)
