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
