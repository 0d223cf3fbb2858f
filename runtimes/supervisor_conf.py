"""The supervisor's files as text. Pure: values in, text out.

An app's file depends on nothing but its name, the names of its processes and where things are: the
commands, the environment and the release are read at start by the launcher. So an upgrade or a new
environment changes no file here, needs no reload, and no secret ever gets into one.
"""

from __future__ import annotations

import re
import shlex
import string
from collections.abc import Iterable, Sequence
from pathlib import Path

from celeriac.errors import CeleriacError
from runtimes.sides import Side, group_name, log_name

STARTS_SECONDS = 5  # up for that long is running; an end before it is a failed start (DESIGN section 2, health)
STOP_SECONDS = 10
_PROCESS_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
_LOG_BYTES = "10MB"
_LOG_BACKUPS = 3


class SupervisorConfigError(CeleriacError):
    """Something cannot be said in the supervisor's file format."""

    reason = "SupervisorConfig"


def escape(text: str) -> str:
    """`text` as a value of the supervisor's files: its `%` stand for themselves.

    Raises SupervisorConfigError for what would end the line or begin a comment.
    """
    if re.search(r"[\x00-\x1f\x7f\x85\u2028\u2029]", text):
        raise SupervisorConfigError(f"{text!r} holds control characters")
    if re.search(r"(^|\s)[;#]", text):
        raise SupervisorConfigError(f"{text!r} holds what reads as a comment")
    return text.replace("%", "%%")


def check_home(home: Path) -> None:
    """Raises SupervisorConfigError when the supervisor cannot work in the folder `home`."""
    try:
        escape(str(home))
        if set(str(home)) & set("*?[]"):
            raise SupervisorConfigError(f"{str(home)!r} holds *, ?, [ or ]")
    except SupervisorConfigError as error:
        raise SupervisorConfigError(f"the home folder {error.message}", hint="choose another CELERIAC_HOME") from None


def daemon_conf(home: Path, socket: Path, *, user: str, file_limit: int) -> str:
    """The supervisor's own file. It includes every app's file beside it."""
    folder = home / "supervisor"
    lines = [
        "[supervisord]",
        "nodaemon=true",
        f"logfile={escape(str(folder / 'supervisord.log'))}",
        f"logfile_maxbytes={_LOG_BYTES}",
        f"logfile_backups={_LOG_BACKUPS}",
        f"pidfile={escape(str(folder / 'supervisord.pid'))}",
        f"childlogdir={escape(str(home / 'logs'))}",
        "identifier=celeriac",
        "nocleanup=true",
        f"minfds={file_limit}",
        "minprocs=1",
        *([f"user={escape(user)}"] if user else []),
        "",
        "[unix_http_server]",
        f"file={escape(str(socket))}",
        "chmod=0700",
        "",
        "[rpcinterface:supervisor]",
        "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface",
        "",
        "[include]",
        "files=conf.d/*.conf",
        "",
    ]
    return "\n".join(lines)


def app_conf(
    home: Path, app: str, processes: Iterable[str], *, launcher: Sequence[str], home_id: str, side: Side = "blue"
) -> str:
    """The section of one generation of `app`: one group, one program per process, each started by `launcher`.

    autostart is off: a new supervisor starts nothing before the strays of an older one are gone.
    """
    names = sorted(processes)
    for name in names:
        if not _PROCESS_NAME.fullmatch(name):
            raise SupervisorConfigError(f"{app}: {name!r} is not a name for a process")
    if not names:
        raise SupervisorConfigError(f"{app}: there is no process to run")
    whole = group_name(app, side)
    text = f"[group:{whole}]\nprograms={','.join(f'{whole}.{name}' for name in names)}\n"
    program = string.Template(_PROGRAM)
    for name in names:
        command = shlex.join([*launcher, str(home / "apps" / app), name, side])
        text += program.substitute(
            app=app,
            group=whole,
            side=side,
            name=name,
            command=escape(command),
            log=_escape_log(home / "logs" / log_name(app, side, name)),
            home_id=home_id,
            starts=STARTS_SECONDS,
            stops=STOP_SECONDS,
            bytes=_LOG_BYTES,
            backups=_LOG_BACKUPS,
        )
    return text


def with_group(text: str, name: str, section: str) -> str:
    """The file `text` with the section of the group `name` replaced by `section`, or added to it."""
    parts = re.split(r"(?m)^(?=\[group:)", text)
    kept = [part for part in parts if part.strip() and not part.startswith(f"[group:{name}]")]
    return "".join(part.rstrip("\n") + "\n\n" for part in sorted([*kept, section]))


def front_conf(home: Path, name: str, process: str, command: Sequence[str], *, home_id: str) -> str:
    """The file of the front, a program of our own. It finds its apps from the home folder on."""
    xdg = _quoted(str(home / "front"))
    more = f"XDG_DATA_HOME={xdg},XDG_CONFIG_HOME={xdg}"
    return _own_conf(home, name, process, command, home_id=home_id, folder=home, more=more, stops=5)


def _escape_log(path: Path) -> str:
    """The file of a log as a value. The supervisor replaces what begins with `%` twice in those, and once elsewhere."""
    return escape(escape(str(path)))


def _quoted(text: str) -> str:
    """`text` as the value of a variable. The supervisor knows no escapes there, only two kinds of quotes."""
    quote = "'" if '"' in text else '"'
    if quote in text:
        raise SupervisorConfigError(f"{text!r} holds both kinds of quotes", hint="choose another CELERIAC_HOME")
    return quote + escape(text) + quote


def guests_conf(home: Path, name: str, process: str, command: Sequence[str], *, home_id: str) -> str:
    """The file of the shared host process of embedded apps, a program of our own."""
    more = f'CELERIAC_PROCESS="{name}",PYTHONUNBUFFERED="1"'
    folder = home / "guests"
    return _own_conf(home, name, process, command, home_id=home_id, folder=folder, more=more, stops=STOP_SECONDS)


def _own_conf(
    home: Path, name: str, process: str, command: Sequence[str], *, home_id: str, folder: Path, more: str, stops: int
) -> str:
    return string.Template(_OWN).substitute(
        group=name,
        name=process,
        command=escape(shlex.join(command)),
        folder=escape(str(folder)),
        home_id=home_id,
        more=more,
        stops=stops,
        log=_escape_log(home / "logs" / f"{name}.log"),
        bytes=_LOG_BYTES,
        backups=_LOG_BACKUPS,
    )


_OWN = """[group:$group]
programs=$group.$name

[program:$group.$name]
process_name=$name
command=$command
directory=$folder
environment=CELERIAC_APP="$group",CELERIAC_HOME_ID="$home_id",$more
autostart=false
autorestart=true
startsecs=1
startretries=30
stopwaitsecs=$stops
killasgroup=true
redirect_stderr=true
stdout_logfile=$log
stdout_logfile_maxbytes=$bytes
stdout_logfile_backups=$backups
"""

_PROGRAM = """
[program:$group.$name]
process_name=$name
command=$command
environment=CELERIAC_APP="$app",CELERIAC_PROCESS="$name",CELERIAC_HOME_ID="$home_id",CELERIAC_SIDE="$side"
autostart=false
autorestart=true
startsecs=$starts
startretries=3
stopwaitsecs=$stops
stopasgroup=false
killasgroup=true
redirect_stderr=true
stdout_logfile=$log
stdout_logfile_maxbytes=$bytes
stdout_logfile_backups=$backups
"""
