"""What `celeriac up` runs, as values: the programs, their environment, the supervisor's configuration.

Pure. The programs are the same plain processes that production runs by hand, systemd or a container
(docs: `celery -A tasks worker|beat|flower`); `tasks.services` starts and stops them.
Settings, and the secrets in some of them, travel in the environment only: the file holds none.
"""

from __future__ import annotations

import hashlib
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import msgspec

from celeriac import settings as settings_module
from celeriac.errors import SettingsError
from celeriac.settings import Settings, socket_path_fits, variable

REDIS = "redis"
WORKER = "worker"
BEAT = "beat"
FLOWER = "flower"

STARTS_SECONDS = 3
"""A service that ends before it has run for so long has failed to start."""

ROOT = Path(settings_module.__file__).resolve().parent.parent
"""The folder that holds the packages, celeryconfig.py and flowerconfig.py."""

LAUNCHER = """\
# Starts a service that ends softly when its supervisor was killed: the next supervisor would not
# adopt it but start another.
import ctypes, os, sys
parent = os.getppid()
prctl = getattr(ctypes.CDLL(None), "prctl", None)
if prctl:
    prctl(1, 15)  # PR_SET_PDEATHSIG, SIGTERM
try:
    with open(sys.argv[1]) as file:
        supervisor = int(file.read())
except (OSError, ValueError):  # somebody removed it, or the disk was full: no reason to start nothing any more
    supervisor = parent
if os.getppid() != supervisor:  # it was killed before it could be waited for
    sys.exit(1)
os.execvp(sys.argv[2], sys.argv[2:])
"""


@dataclass(frozen=True, slots=True)
class Program:
    """One service. `stop_wait` is how many seconds it may take to end before it is killed."""

    name: str
    argv: tuple[str, ...]
    stop_wait: int = 10
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Places:
    """Where the services' supervisor keeps its files, and how it is reached."""

    folder: Path
    conf: Path
    launcher: Path
    pid: Path
    record: Path
    lock: Path
    settings: Path
    logs: Path
    socket: Path

    @classmethod
    def of(cls, home: Path, temporary: Path) -> Places:
        """The places below `home`. The socket goes below `temporary` where the path of `home` is too long for one."""
        folder = home / "services"
        socket = folder / "supervisor.sock"
        if not socket_path_fits(socket.with_name(socket.name + ".4194304")):  # supervisord adds its pid while it binds
            socket = temporary / f"celeriac-{hashlib.sha256(bytes(home)).hexdigest()[:16]}" / "services.sock"
        return cls(
            folder=folder,
            conf=folder / "supervisord.conf",
            launcher=folder / "launch.py",
            pid=folder / "supervisord.pid",
            record=folder / "services.json",
            lock=folder / "lock",
            settings=folder / "celeriac.toml",
            logs=home / "logs",
            socket=socket,
        )

    def log(self, service: str) -> Path:
        """The log of one service."""
        return self.logs / f"celeriac.{service}.log"


def programs(settings: Settings, *, redis_argv: Sequence[str] = (), flower_port: int) -> tuple[Program, ...]:
    """The services of one machine in the order in which they start. No `redis_argv`: somebody else runs Redis."""
    celery = (sys.executable, "-m", "celery", "-A", "tasks")
    services = settings.home / "services"
    return (
        *((Program(REDIS, tuple(redis_argv), stop_wait=30),) if redis_argv else ()),
        Program(
            WORKER,
            (
                *celery,
                "worker",
                f"--queues=ctl,node.{settings.node}",
                f"--hostname={settings.node}@%h",
                f"--concurrency={settings.concurrency}",
                "--events",
                "--loglevel=INFO",
                "--without-gossip",
                "--without-mingle",
            ),
            stop_wait=120,
            # TERM ends it softly: what can be finished is, what cannot is given back.
            environment={"REMAP_SIGTERM": "SIGQUIT"},
        ),
        Program(BEAT, (*celery, "beat", f"--schedule={services / 'beat-schedule'}", "--loglevel=INFO")),
        Program(
            FLOWER,
            (*celery, "flower", "--address=127.0.0.1", f"--port={flower_port}", f"--conf={ROOT / 'flowerconfig.py'}"),
        ),
    )


def environment(settings: Settings, inherited: Mapping[str, str], places: Places) -> dict[str, str]:
    """The environment of every service: `inherited`, with exactly these settings in force.

    Raises SettingsError for a value that an environment variable cannot say.
    """
    names = [item.name for item in fields(Settings) if item.name != "sources"]
    made = {key: value for key, value in inherited.items() if key not in {variable(name) for name in names}}
    for name in names:
        text = _text(name, getattr(settings, name))
        if text:
            made[variable(name)] = text
    made["CELERIAC_CONFIG"] = str(places.settings)  # else one in the working folder would fill the gaps
    return made


def fingerprint(programs_: Sequence[Program], environ: Mapping[str, str]) -> str:
    """Tells whether running services were started with the same settings. Says nothing of what they are."""
    ours = {key: value for key, value in environ.items() if key.startswith("CELERIAC_") or key in _FOREIGN_NAMES}
    return hashlib.sha256(msgspec.json.encode([programs_, ours], order="sorted")).hexdigest()


def supervisor_conf(places: Places, programs_: Sequence[Program], *, root: bool = False) -> str:
    """The configuration of the supervisor. Nothing starts by itself: `tasks.services` starts them in order."""
    sections = [
        _section(
            "supervisord",
            nodaemon="true",
            logfile=places.log("supervisor"),
            logfile_maxbytes="5MB",
            logfile_backups="1",
            pidfile=places.pid,
            childlogdir=places.logs,
            identifier="celeriac",
            silent="true",
            **({"user": "root"} if root else {}),  # else it warns of being root each time it starts
        ),
        _section("unix_http_server", file=places.socket, chmod="0700"),
        "[rpcinterface:supervisor]\nsupervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface\n",
    ]
    for program in programs_:
        options: dict[str, Any] = {
            "command": shlex.join([sys.executable, "-I", "-S", str(places.launcher), str(places.pid), *program.argv]),
            "directory": ROOT,
            "autostart": "false",
            "autorestart": "true",
            "startsecs": STARTS_SECONDS,
            "startretries": "1000000",  # for ever, a little slower each time: a full disk may be empty tomorrow
            "stopsignal": "TERM",
            "stopwaitsecs": program.stop_wait,
            "stopasgroup": "false",
            "killasgroup": "true",
            "redirect_stderr": "true",
            "stdout_logfile": places.log(program.name),
            "stdout_logfile_maxbytes": "10MB",
            "stdout_logfile_backups": "3",
        }
        if program.environment:
            options["environment"] = ",".join(f'{key}="{value}"' for key, value in program.environment.items())
        sections.append(_section(f"program:{program.name}", **options))
    return "\n".join(sections)


def _section(name: str, **options: Any) -> str:
    lines = [f"[{name}]"]
    for key, value in options.items():
        text = str(value)
        if _UNFIT.search(text):
            raise SettingsError(
                f"{name}: {key} has a character in it that a path cannot have", hint="see CELERIAC_HOME"
            )
        lines.append(f"{key} = {text.replace('%', '%%')}")
    return "\n".join(lines) + "\n"


_FOREIGN_NAMES = {"REDIS_URL", "SENTRY_DSN"}
_UNFIT = re.compile(r"[\x00-\x1f\x7f]|\s[;#]")  # what would end a line of the file, or begin a comment


def _text(name: str, value: Any) -> str:
    if name in {"interval", "removal_grace", "lease", "sweep_interval", "observe_interval"}:
        return f"{value:.3f}s"
    if name == "sync_windows":
        return "; ".join(map(str, value))
    if name == "labels":
        if any("," in key + item or "=" in key for key, item in value.items()):
            raise SettingsError("labels: a comma, or = in a name, cannot be used", hint="write them as role=web,zone=a")
        return ",".join(f"{key}={item}" for key, item in value.items())
    return "" if value is None else str(value)
