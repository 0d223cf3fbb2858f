"""Starts and stops what one machine needs: Redis, a worker, beat, Flower (`celeriac up`, `down`).

They run under a supervisord of their own below `<home>/services`, which is nobody's child: it
outlives the command that started it, and a later command finds it again by its socket. Apps are
none of its business: they have a supervisor of their own (`runtimes`) and go on when this one stops.
Everything here may be repeated, and be cut off at any point: the next `start` or `stop` goes on from there.
"""

from __future__ import annotations

import contextlib
import fcntl
import http.client
import os
import signal
import socket
import sys
import tempfile
import time
import xmlrpc.client  # the peer is our own supervisor on a socket that only this user can open
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from celeriac.errors import CeleriacError
from celeriac.process import start_daemon
from celeriac.settings import Settings
from tasks.service_config import (
    BEAT,
    FLOWER,
    LAUNCHER,
    REDIS,
    WORKER,
    Places,
    Program,
    environment,
    fingerprint,
    programs,
    supervisor_conf,
)

_POLL = 0.1
_RUNNING = {"STARTING", "RUNNING", "BACKOFF", "STOPPING"}
_CRASHES = 3  # starts that ended too soon, before we call it broken


class ServiceFailed(CeleriacError):  # noqa: N818 - named like the reason that users read
    """A service of Celeriac's own did not start, or not in time."""

    reason = "ServiceFailed"


@dataclass(frozen=True, slots=True)
class Started:
    """How `start` left things. `already` when they ran before; `changed` when they run with other settings.

    `addresses` maps a service to where it is reached.
    """

    already: bool
    changed: bool
    addresses: dict[str, str]


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """One service as its supervisor sees it: `state` is supervisord's, in small letters."""

    name: str
    state: str
    pid: int | None
    detail: str


class _Record(msgspec.Struct, frozen=True):
    """What a later command must know of the services that run."""

    fingerprint: str
    flower_port: int
    pid: int


def start(settings: Settings) -> Started:
    """Start whatever does not run yet. Returns at once; `wait_ready` waits.

    Raises ServiceFailed, SettingsError, or `state`'s ServerMissing when there is no Redis to start.
    """
    places = places_of(settings)
    for folder in (settings.home, places.folder, places.logs):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _only_one(places):
        record = _record(places)
        already = _answers(places)
        port = record.flower_port if already and record else _free_port(settings.flower_port)
        wanted = programs(settings, redis_argv=_redis_argv(settings), flower_port=port)
        environ = environment(settings, os.environ, places)
        print_of = fingerprint(wanted, environ)
        if not already:
            _end_stray_redis(settings)
            pid = _start_supervisor(places, wanted, environ)
            record = _Record(print_of, port, pid)
            _write(places.record, msgspec.json.encode(record))
        with _supervisor(places) as supervisor:
            for name in (info["name"] for info in supervisor.getAllProcessInfo() if info["statename"] not in _RUNNING):
                if name == REDIS:
                    supervisor.startProcess(name, False)
            if any(program.name == REDIS for program in wanted):
                _wait_for_redis(settings, places)
            for info in supervisor.getAllProcessInfo():
                if info["statename"] not in _RUNNING:
                    supervisor.startProcess(info["name"], False)
    changed = already and record is not None and record.fingerprint != print_of
    return Started(already, changed, addresses(settings))


def wait_ready(settings: Settings, timeout: float = 60.0, *, progress: Callable[[str], None] = lambda name: None) -> None:
    """Wait until every service does its work; `progress` is told the name of each that does.

    Ready means: Redis answers, the worker has reported as a node, beat runs, Flower accepts connections.
    Raises ServiceFailed with the end of its log for one that keeps ending, or is not ready in time.
    """
    places = places_of(settings)
    deadline = time.monotonic() + timeout
    begun: dict[str, set[int]] = {}
    ready: set[str] = set()
    while True:
        infos = {info["name"]: info for info in _infos(places)}
        if not infos:
            raise ServiceFailed("the supervisor of Celeriac's services has ended", hint=f"see {places.log('supervisor')}")
        for name, info in infos.items():
            if info["statename"] == "BACKOFF":
                begun.setdefault(name, set()).add(info["start"])
            broken = info["statename"] == "FATAL" or len(begun.get(name, ())) >= _CRASHES
            if broken:
                raise _failed(places, name, "keeps ending")
            if name not in ready and _does_its_work(name, info, settings):
                ready.add(name)
                progress(name)
        waiting = infos.keys() - ready
        if not waiting:
            return
        if time.monotonic() > deadline:
            raise _failed(places, min(waiting), f"was not ready after {timeout:g}s")
        time.sleep(_POLL)


def status(settings: Settings) -> list[ServiceStatus]:
    """The services, in the order in which they start; empty when Celeriac is not running here."""
    order = {name: place for place, name in enumerate((REDIS, WORKER, BEAT, FLOWER))}
    found = [
        ServiceStatus(info["name"], info["statename"].lower(), info["pid"] or None, info["description"])
        for info in _infos(places_of(settings))
    ]
    return sorted(found, key=lambda service: order.get(service.name, len(order)))


def running(settings: Settings) -> bool:
    """Whether the services' supervisor answers."""
    return _answers(places_of(settings))


def addresses(settings: Settings) -> dict[str, str]:
    """Where the services are reached, as they were started: `{"dashboard": "http://127.0.0.1:5555"}`."""
    record = _record(places_of(settings))
    port = record.flower_port if record else settings.flower_port
    return {"dashboard": f"http://127.0.0.1:{port}"}


def stop(settings: Settings, *, apps: bool = False, at_once: bool = False) -> bool:
    """Stop the services, Redis last; with `apps`, the managed apps too. Returns whether anything ran.

    A worker ends softly: it finishes what it can and gives the rest back. `at_once` does not wait for that.
    """
    places = places_of(settings)
    ran = _answers(places)
    if ran:
        with _supervisor(places) as supervisor:
            names = [info["name"] for info in supervisor.getAllProcessInfo()]
            _stop_programs(supervisor, [name for name in names if name != REDIS], places, kill=at_once)
            _stop_programs(supervisor, [name for name in names if name == REDIS], places, kill=False)
            with contextlib.suppress(OSError, http.client.HTTPException):  # it may be gone before it has answered
                supervisor.shutdown()
        _wait_gone(places)
    if apps:
        from runtimes.supervisord import Supervisor

        Supervisor(settings.home).shutdown()
    return ran


def places_of(settings: Settings) -> Places:
    """Where this installation's services keep their files."""
    return Places.of(settings.home, Path(tempfile.gettempdir()))


def log_tail(path: Path, lines: int = 12) -> list[str]:
    """The last lines of a log; none when there is no log."""
    try:
        with path.open("rb") as log:
            log.seek(0, os.SEEK_END)
            log.seek(max(0, log.tell() - 16384))
            return log.read().decode("utf-8", "replace").splitlines()[-lines:]
    except FileNotFoundError:
        return []


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


@contextlib.contextmanager
def _supervisor(places: Places) -> Iterator[Any]:
    with xmlrpc.client.ServerProxy("http://localhost", transport=_Transport(places.socket)) as proxy:
        yield proxy.supervisor


def _infos(places: Places) -> list[Any]:
    if not places.socket.exists():
        return []
    try:
        with _supervisor(places) as supervisor:
            return list(supervisor.getAllProcessInfo())
    except (ConnectionError, FileNotFoundError):
        return []
    except (OSError, http.client.HTTPException, xmlrpc.client.Fault) as error:
        raise ServiceFailed(
            f"the supervisor of Celeriac's services does not answer: {error}", hint=f"see {places.log('supervisor')}"
        ) from error


def _answers(places: Places) -> bool:
    return bool(_infos(places))


@contextlib.contextmanager
def _only_one(places: Places) -> Iterator[None]:
    """Two commands at once must not start two supervisors."""
    with places.lock.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _start_supervisor(places: Places, wanted: tuple[Program, ...], environ: dict[str, str]) -> int:
    _private_folder(places.socket.parent)
    _write(places.settings, b"# Nothing here: the services are told their settings by environment variables.\n")
    _write(places.launcher, LAUNCHER.encode())
    _write(places.conf, supervisor_conf(places, wanted).encode())
    pid = start_daemon(
        [sys.executable, "-m", "supervisor.supervisord", "--nodaemon", "-c", str(places.conf)],
        log=places.log("supervisor-start"),
        cwd=places.folder,
        env=environ,
    )
    deadline = time.monotonic() + 20
    while not _answers(places):
        if not _alive(pid) or time.monotonic() > deadline:
            tail = log_tail(places.log("supervisor-start")) or log_tail(places.log("supervisor"))
            raise ServiceFailed("the supervisor of Celeriac's services did not start\n" + _quoted(tail))
        time.sleep(_POLL / 2)
    return pid


def _private_folder(folder: Path) -> None:
    """Make `folder`, or make sure that it is this user's alone: whoever could swap it could pose as the supervisor."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if folder.is_symlink() or found.st_uid != os.getuid():
        raise ServiceFailed(f"{folder} belongs to somebody else", hint="set CELERIAC_HOME to a shorter path of your own")
    folder.chmod(0o700)


def _redis_argv(settings: Settings) -> list[str]:
    if settings.redis_url:
        return []
    from state.embedded import server_argv

    return [str(part) for part in server_argv(settings)]


def _end_stray_redis(settings: Settings) -> None:
    """End an embedded Redis whose supervisor was killed: two on one data folder would spoil it."""
    if settings.redis_url or not _redis_answers(settings):
        return
    from state.store import open_store

    with contextlib.closing(open_store(settings)) as store:
        pid = int(store.client.info("server")["process_id"])
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + 30
    while _alive(pid):
        if time.monotonic() > deadline:
            raise ServiceFailed(f"a Redis left over from before (process {pid}) does not end", hint=f"kill {pid}")
        time.sleep(_POLL)


def _redis_answers(settings: Settings) -> bool:
    from state.store import StateUnavailable, open_store

    try:
        with contextlib.closing(open_store(settings)) as store:
            store.ping()
    except StateUnavailable:
        return False
    return True


def _wait_for_redis(settings: Settings, places: Places, timeout: float = 60.0) -> None:
    deadline = time.monotonic() + timeout
    begun: set[int] = set()
    while not _redis_answers(settings):
        for info in _infos(places):
            if info["name"] == REDIS and info["statename"] == "BACKOFF":
                begun.add(info["start"])
        if len(begun) >= _CRASHES:
            raise _failed(places, REDIS, "keeps ending")
        if time.monotonic() > deadline:
            raise _failed(places, REDIS, f"did not answer within {timeout:g}s")
        time.sleep(_POLL / 2)


def _does_its_work(name: str, info: Any, settings: Settings) -> bool:
    if info["statename"] not in {"STARTING", "RUNNING"}:
        return False
    if name == REDIS:
        return _redis_answers(settings)
    if name == WORKER:
        return _node_reported(settings, info["pid"])
    if name == FLOWER:
        record = _record(places_of(settings))
        return record is not None and _port_taken(record.flower_port)
    return True


def _node_reported(settings: Settings, pid: int) -> bool:
    """Whether the worker `pid`, and not one before it, is the node that reports."""
    from state.nodes import Nodes
    from state.store import StateUnavailable, open_store

    try:
        with contextlib.closing(open_store(settings)) as store:
            node = Nodes(store).all().get(settings.node)
    except StateUnavailable:
        return False
    return node is not None and node.alive and node.pid == pid


def _stop_programs(supervisor: Any, names: list[str], places: Places, *, kill: bool) -> None:
    for name in names:
        with contextlib.suppress(xmlrpc.client.Fault):  # it is not running
            supervisor.stopProcess(name, False)
        if kill:
            with contextlib.suppress(xmlrpc.client.Fault):
                supervisor.signalProcess(name, "KILL")
    # supervisord kills what has not ended after its stop_wait, so this ends.
    while any(info["name"] in names and info["statename"] in _RUNNING for info in _infos(places)):
        time.sleep(_POLL)


def _wait_gone(places: Places, timeout: float = 30.0) -> None:
    record = _record(places)
    deadline = time.monotonic() + timeout
    while _answers(places) or (record is not None and _alive(record.pid) and places.pid.exists()):
        if time.monotonic() > deadline:
            raise ServiceFailed("the supervisor of Celeriac's services does not end", hint=f"see {places.log('supervisor')}")
        time.sleep(_POLL / 2)


def _failed(places: Places, name: str, what: str) -> ServiceFailed:
    log = places.log(name)
    return ServiceFailed(f"{name} {what}\n{_quoted(log_tail(log))}", hint=f"all of it is in {log}")


def _quoted(lines: list[str]) -> str:
    return "\n".join(f"    {line}" for line in lines)


def _record(places: Places) -> _Record | None:
    try:
        return msgspec.json.decode(places.record.read_bytes(), type=_Record)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_name(path.name + ".new")
    temporary.unlink(missing_ok=True)
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    temporary.replace(path)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _port_taken(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _free_port(wanted: int) -> int:
    """`wanted` if nobody has it, else one that the kernel picks."""
    for port in (wanted, 0):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return int(probe.getsockname()[1])
    raise ServiceFailed("there is no free port for the dashboard", hint="set CELERIAC_FLOWER_PORT")
