"""The supervisord that runs Celeriac's own services: started, asked and ended over its Unix socket.

Used by `tasks.services` alone. Knows how to keep processes running, not what they are for.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import sys
import time
import xmlrpc.client
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from celeriac.errors import CeleriacError
from celeriac.process import start_daemon
from tasks.service_config import LAUNCHER, Places, Program, supervisor_conf

POLL = 0.05
RUNNING = frozenset({"STARTING", "RUNNING", "BACKOFF", "STOPPING"})
_SHUTTING_DOWN = 6  # supervisor.xmlrpc.Faults.SHUTDOWN_STATE
_GONE = (ConnectionError, FileNotFoundError, http.client.HTTPException)


class ServiceFailed(CeleriacError):  # noqa: N818 - named like the reason that users read
    """A service of Celeriac's own did not start, did not end, or not in time."""

    reason = "ServiceFailed"


class Record(msgspec.Struct, frozen=True):
    """What a later command must know of the services that run; kept beside the supervisor's configuration."""

    fingerprint: str
    flower_port: int
    pid: int


class ServiceSupervisor:
    """The supervisor at `places`, whether it runs or not."""

    def __init__(self, places: Places) -> None:
        self.places = places

    def infos(self) -> list[Any]:
        """What it knows of each program; empty when it does not run, or ends. Raises ServiceFailed when it hangs."""
        return self._ask()[0]

    def answers(self) -> bool:
        """Whether it runs."""
        return bool(self.infos())

    def launch(self, programs: Sequence[Program], environ: Mapping[str, str]) -> int:
        """Start it for `programs`, none of which it starts by itself; return its process id."""
        places = self.places
        self._wait_until_gone()
        _make_private(places.socket.parent)
        write_private(places.settings, b"# Empty: the services are told their settings by environment variables.\n")
        write_private(places.launcher, LAUNCHER.encode())
        write_private(places.conf, supervisor_conf(places, programs, root=os.getuid() == 0).encode())
        argv = [sys.executable, "-m", "supervisor.supervisord", "--nodaemon", "-c", str(places.conf)]
        pid = start_daemon(argv, log=places.log("supervisor"), cwd=places.folder, env=environ)
        deadline = time.monotonic() + 30
        while not self.answers():
            if not alive(pid) or time.monotonic() > deadline:
                raise self.failed("supervisor", "did not start")
            time.sleep(POLL)
        return pid

    def begin(self, names: Sequence[str]) -> None:
        """Start those of `names` that do not run, without waiting for them."""
        with self._proxy() as supervisor:
            for info in supervisor.getAllProcessInfo():
                if info["name"] in names and info["statename"] not in RUNNING:
                    supervisor.startProcess(info["name"], False)

    def end(self, names: Sequence[str], *, kill: bool = False) -> None:
        """Stop `names` side by side and wait until they have ended; supervisord kills those that take too long."""
        # A signal that comes between supervisord's fork and exec is lost: what was begun just now gets its second.
        while any(i["name"] in names and i["statename"] == "STARTING" and i["now"] == i["start"] for i in self.infos()):
            time.sleep(POLL)
        with self._proxy() as supervisor:
            for name in names:
                with contextlib.suppress(xmlrpc.client.Fault):  # it does not run
                    supervisor.stopProcess(name, False)
                if kill:
                    with contextlib.suppress(xmlrpc.client.Fault):  # it has ended meanwhile
                        supervisor.signalProcess(name, "KILL")
        while any(info["name"] in names and info["statename"] in RUNNING for info in self.infos()):
            time.sleep(POLL)

    def shut_down(self, timeout: float = 30.0) -> None:
        """End the supervisor itself."""
        record = self.record()
        with self._proxy() as supervisor, contextlib.suppress(*_GONE):  # it may be gone before it has answered
            supervisor.shutdown()
        self._wait_until_gone(timeout)
        deadline = time.monotonic() + timeout
        while record is not None and alive(record.pid) and self.places.pid.exists():
            if time.monotonic() > deadline:
                raise self.failed("supervisor", f"did not end within {timeout:g}s")
            time.sleep(POLL)

    def record(self) -> Record | None:
        """What was remembered at the last start; None when nothing, or nothing readable, was."""
        try:
            return msgspec.json.decode(self.places.record.read_bytes(), type=Record)
        except (FileNotFoundError, msgspec.MsgspecError):
            return None

    def remember(self, record: Record) -> None:
        """Keep `record` for later commands."""
        write_private(self.places.record, msgspec.json.encode(record))

    def failed(self, service: str, what: str) -> ServiceFailed:
        """The error for a service that is not as it should be, with the end of its log."""
        log = self.places.log(service)
        lines = "".join(f"\n    {line}" for line in _tail(log))
        return ServiceFailed(f"{service} {what}{lines}", hint=f"all of it is in {log}")

    def _ask(self) -> tuple[list[Any], bool]:
        """The programs, and whether it is about to end."""
        if not self.places.socket.exists():
            return [], False
        try:
            with self._proxy() as supervisor:
                return list(supervisor.getAllProcessInfo()), False
        except _GONE:
            return [], False
        except xmlrpc.client.Fault as fault:
            if fault.faultCode == _SHUTTING_DOWN:
                return [], True
            raise self.failed("supervisor", f"does not answer: {fault.faultString}") from fault
        except (OSError, xmlrpc.client.Error) as error:
            raise self.failed("supervisor", f"does not answer: {error}") from error

    def _wait_until_gone(self, timeout: float = 60.0) -> None:
        """Wait for one that is about to end: two at a time would get in each other's way."""
        deadline = time.monotonic() + timeout
        while self._ask() != ([], False):
            if time.monotonic() > deadline:
                raise self.failed("supervisor", f"did not end within {timeout:g}s")
            time.sleep(POLL)

    @contextlib.contextmanager
    def _proxy(self) -> Iterator[Any]:
        with xmlrpc.client.ServerProxy("http://localhost", transport=_Transport(self.places.socket)) as proxy:
            yield proxy.supervisor


class _Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=10)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class _Transport(xmlrpc.client.Transport):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        return _Connection(self._path)


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only this user can read, whole or not at all."""
    temporary = path.with_name(path.name + ".new")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    temporary.replace(path)


def alive(pid: int) -> bool:
    """Whether that process still does anything; one that has ended and was not reaped does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except FileNotFoundError:  # it has just gone, or this system has no /proc
        return not Path("/proc/self/stat").exists()
    except ProcessLookupError:
        return False
    return stat.rpartition(")")[2].split()[0] not in {"Z", "X"}


def _make_private(folder: Path) -> None:
    """Make `folder`, this user's alone: whoever could swap it could pose as the supervisor."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.is_symlink() or folder.lstat().st_uid != os.getuid():
        raise ServiceFailed(f"{folder} belongs to somebody else", hint="set CELERIAC_HOME to a shorter path")
    folder.chmod(0o700)


def _tail(log: Path, lines: int = 12) -> list[str]:
    try:
        with log.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - 16384))
            return file.read().decode("utf-8", "replace").splitlines()[-lines:]
    except FileNotFoundError:
        return []
