"""Starts and stops what one machine needs: Redis, a worker, beat, Flower (`celeriac up`, `down`).

They run under a supervisord of their own below `<home>/services`, which is nobody's child: it
outlives the command that started it, and a later command finds it again by its socket. Apps are
none of its business: they have a supervisor of their own (`runtimes`) and go on when this one stops.
Everything here may be repeated, and be cut off at any point: the next `start` or `stop` goes on from there.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from celeriac.settings import Settings
from runtimes.endings import how_it_ended
from tasks.service_config import BEAT, FLOWER, REDIS, STARTS_SECONDS, WORKER, Places, environment, fingerprint, programs
from tasks.service_probe import Crashes, does_its_work, end_stray_redis, wait_for_redis
from tasks.service_supervisor import POLL, Record, ServiceFailed, ServiceSupervisor

__all__ = [
    "ServiceFailed",
    "ServiceStatus",
    "Started",
    "addresses",
    "log_of",
    "running",
    "start",
    "status",
    "stop",
    "wait_ready",
]


@dataclass(frozen=True, slots=True)
class Started:
    """How `start` left things: `already` when they ran before, `changed` when those run with other settings.

    `addresses` maps a service to where it is reached.
    """

    already: bool
    changed: bool
    addresses: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """One service as its supervisor sees it: `state` is supervisord's, in small letters.

    `detail` is since when it runs or does not, or how it ended when it was to start.
    """

    name: str
    state: str
    pid: int | None
    detail: str


def start(settings: Settings) -> Started:
    """Start whatever does not run yet; `wait_ready` waits until it works.

    Raises ServiceFailed, SettingsError, or `state.embedded`'s ServerMissing when there is no Redis to start.
    """
    supervisor = _supervisor(settings)
    places = supervisor.places
    for folder in (settings.home, places.folder, places.logs):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _only_one(places):
        already = supervisor.answers()
        record = supervisor.record() if already else None
        port = record.flower_port if record else _free_port(settings.flower_port)
        wanted = programs(settings, redis_argv=_redis_argv(settings), flower_port=port)
        environ = environment(settings, os.environ, places)
        ours = fingerprint(wanted, environ)
        if not already:
            end_stray_redis(settings)
            supervisor.remember(Record(ours, port, supervisor.launch(wanted, environ)))
        names = [program.name for program in wanted]
        if REDIS in names:
            supervisor.begin([REDIS])
            wait_for_redis(settings, supervisor)
        supervisor.begin(names)
    return Started(already, record is not None and record.fingerprint != ours, addresses(settings))


def wait_ready(
    settings: Settings, timeout: float = 60.0, *, progress: Callable[[str], None] = lambda name: None
) -> None:
    """Wait until every service does its work; `progress` is told the name of each that does.

    Ready means: Redis answers, the worker has reported as a node, beat runs, Flower accepts connections.
    Raises ServiceFailed, with the end of its log, for one that keeps ending or is not ready in time.
    """
    supervisor = _supervisor(settings)
    record = supervisor.record()
    port = record.flower_port if record else settings.flower_port
    deadline = time.monotonic() + timeout
    crashes = Crashes()
    ready: set[str] = set()
    while True:
        infos = supervisor.infos()
        if not infos:
            raise supervisor.failed("supervisor", "has ended")
        for info in infos:
            if crashes.broken(info):
                raise supervisor.failed(info["name"], "keeps ending")
            if info["name"] not in ready and does_its_work(info, settings, port):
                ready.add(info["name"])
                progress(info["name"])
        waiting = {info["name"] for info in infos} - ready
        if not waiting:
            return
        if time.monotonic() > deadline:
            raise supervisor.failed(min(waiting), f"was not ready after {timeout:g}s")
        time.sleep(POLL)


def status(settings: Settings) -> list[ServiceStatus]:
    """The services, in the order in which they start; empty when Celeriac is not running here."""
    order = {name: place for place, name in enumerate((REDIS, WORKER, BEAT, FLOWER))}
    found = [
        ServiceStatus(info["name"], info["statename"].lower(), info["pid"] or None, _detail(info))
        for info in _supervisor(settings).infos()
    ]
    return sorted(found, key=lambda service: order.get(service.name, len(order)))


def _detail(info: Mapping[str, Any]) -> str:
    if info["statename"] in {"BACKOFF", "FATAL"}:
        return how_it_ended(info["spawnerr"], info["exitstatus"], STARTS_SECONDS)
    return str(info["description"])


def running(settings: Settings) -> bool:
    """Whether the services' supervisor answers."""
    return _supervisor(settings).answers()


def addresses(settings: Settings) -> dict[str, str]:
    """Where the services are reached, as they were started: `{"dashboard": "http://127.0.0.1:5555"}`."""
    record = _supervisor(settings).record()
    port = record.flower_port if record else settings.flower_port
    return {"dashboard": f"http://127.0.0.1:{port}"}


def log_of(settings: Settings, service: str) -> Path:
    """Where one service's output goes."""
    return _supervisor(settings).places.log(service)


def stop(settings: Settings, *, apps: bool = False, at_once: bool = False) -> bool:
    """Stop the services, Redis last; with `apps`, the managed apps too. Returns whether any service ran.

    A worker ends softly: it finishes what it can and gives the rest back; `at_once` does not wait for that.
    """
    supervisor = _supervisor(settings)
    names = [info["name"] for info in supervisor.infos()]
    if names:
        supervisor.end([name for name in names if name != REDIS], kill=at_once)
        supervisor.end([name for name in names if name == REDIS])
        supervisor.shut_down()
    if apps:
        from runtimes.supervisord import Supervisor

        Supervisor(settings.home).shutdown()
    return bool(names)


def _supervisor(settings: Settings) -> ServiceSupervisor:
    return ServiceSupervisor(Places.of(settings.home, Path(tempfile.gettempdir())))


@contextlib.contextmanager
def _only_one(places: Places) -> Iterator[None]:
    """Two commands at once must not start two supervisors."""
    with places.lock.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _redis_argv(settings: Settings) -> list[str]:
    if settings.redis_url:
        return []
    from state.embedded import server_argv

    return [str(part) for part in server_argv(settings)]


def _free_port(wanted: int) -> int:
    """`wanted` if nobody has it, else one that the kernel picks."""
    for port in (wanted, 0):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return int(probe.getsockname()[1])
    raise ServiceFailed("there is no free port for the dashboard", hint="set CELERIAC_FLOWER_PORT")
