"""Starts one process of an app: run by the supervisor (as `runtimes/launch.py`), becomes the app.

It reads what is applied (`<side>/applied.json`) and the environment (`env`, mode 0600), so that neither the
supervisor's files nor any argument list holds a secret. It builds the environment from the few
inherited variables that belong to the machine, the app's own, and Celeriac's stamps (by which the
live process can be told apart from every other), sets the limits and executes the real command.

A process of a generation exists at most once: its lock is inherited by the app and held as long as it
lives, and so is that of its private port. Where a crashed app left children behind, they are ended
first; where somebody else than the supervisor in charge runs this, it gives up.

The pure parts (`environment`, `expand`) are shared with the health checks. Standard library only, and of that what is
quick to import: every start of every app waits for it.
"""

from __future__ import annotations

import fcntl
import os
import sys
import time

try:
    from _json import make_scanner  # the heart of `json`, without what that imports: `re` and `enum`, half of a start
except ImportError:
    from json.scanner import make_scanner

TYPE_CHECKING = False  # as type checkers know it; to import what has it costs start-up time
if TYPE_CHECKING:
    import re
    from collections.abc import Mapping, Sequence
    from typing import Any

_MACHINE = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR", "LD_LIBRARY_PATH")
_NETWORK = ("SSL_CERT_FILE", "SSL_CERT_DIR", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
_KEPT = frozenset((*_MACHINE, *_NETWORK, "http_proxy", "https_proxy", "all_proxy", "no_proxy"))
_LOCK_WAIT = 5.0
_RELOCATABLE = (
    b'#!/bin/sh\n\'\'\'exec\' "$(dirname -- "$(realpath -- "$0")")"/\'python\' "$0" "$@"\n'  # as uv writes it
)
HOST_PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "host", "__main__.py")  # noqa: PTH100, PTH118, PTH120


def inherited(environ: Mapping[str, str]) -> dict[str, str]:
    """Those of `environ` that belong to the machine, not to whoever started the supervisor."""
    kept = {name: value for name, value in environ.items() if name in _KEPT or name.startswith("LC_")}
    kept.setdefault("PATH", os.defpath)
    return kept


def environment(
    manifest: Mapping[str, object], env: Mapping[str, str], environ: Mapping[str, str], process: str
) -> dict[str, str]:
    """The whole environment of `process`. The app's own `env` wins over all but Celeriac's stamps."""
    result = inherited(environ)
    release = str(manifest["release"])
    venv = os.path.join(release, "venv")  # noqa: PTH118 - pathlib costs start-up time
    if os.path.isdir(venv):  # noqa: PTH112
        result["VIRTUAL_ENV"] = venv
        result["PATH"] = os.pathsep.join([os.path.join(venv, "bin"), result["PATH"]])  # noqa: PTH118
    result["PYTHONUNBUFFERED"] = "1"
    if manifest.get("port"):
        result["PORT"] = str(manifest["port"])
    result.update(env)
    result.update(
        CELERIAC_APP=str(manifest["name"]),
        CELERIAC_VERSION=str(manifest["version"]),
        CELERIAC_REVISION=str(manifest["revision"]),
        CELERIAC_DIGEST=str(manifest["digest"]),
        CELERIAC_NODE=str(manifest["node"]),
        CELERIAC_RELEASE=release,
        CELERIAC_HOME_ID=str(manifest["home_id"]),
        CELERIAC_PROCESS=process,
        CELERIAC_SIDE=str(manifest["side"]),
        CELERIAC_ENV_FILE=str(manifest["env_file"]),
        CELERIAC_HOST_PROGRAM=HOST_PROGRAM,
    )
    result.pop("CELERIAC_GUESTS", None)
    if manifest.get("isolation") == "embedded":
        result["CELERIAC_GUESTS"] = os.path.join(_home_of(manifest), "guests", "control.sock")  # noqa: PTH118
    return result


def _home_of(manifest: Mapping[str, object]) -> str:
    """The home folder, from `<home>/supervisor/supervisord.pid`."""
    return os.path.dirname(os.path.dirname(str(manifest["supervisor_pid"])))  # noqa: PTH120


def expand(argv: Sequence[str], env: Mapping[str, str]) -> list[str]:
    """`argv` with `$NAME` and `${NAME}` replaced from `env`; an unknown name stays as written, `$$` is `$`."""

    if not any("$" in argument for argument in argv):
        return list(argv)
    import re

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        return "$" if name is None else env.get(name, match[0])

    return [re.sub(r"(?a)\$(?:\$|(\w+)|\{(\w+)\})", value, argument) for argument in argv]


def program(argv: Sequence[str], release: str, search: str = "") -> list[str]:
    """`argv` whose program, where it is a relative path, is taken from the release folder.

    A bare name is looked for in the folders of `search`; one that is not found stays as it is.
    """
    first = argv[0]
    if "/" in first:
        first = os.path.join(release, first)  # noqa: PTH118 - an absolute path stays as it is
    else:
        for folder in search.split(os.pathsep):
            candidate = os.path.join(folder, first)  # noqa: PTH118
            if folder and os.access(candidate, os.X_OK):
                first = candidate
                break
    return [first, *argv[1:]]


def direct(command: Sequence[str]) -> list[str]:
    """`command` as a script of a relocatable environment would have it, after a shell and two programs found it out."""
    try:
        with open(command[0], "rb") as script:  # noqa: PTH123
            relocatable = script.read(len(_RELOCATABLE)) == _RELOCATABLE
    except OSError:
        relocatable = False
    if not relocatable:
        return list(command)
    return [os.path.join(os.path.dirname(os.path.realpath(command[0])), "python"), *command]  # noqa: PTH118, PTH120


def start_ticks(pid: int) -> int:
    """When process `pid` was started, in the kernel's own count; 0 where that cannot be known."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:  # noqa: PTH123
            return int(stat.read().rpartition(b")")[2].split()[19])
    except (OSError, IndexError, ValueError):
        return 0


def main(app_folder: str, process: str, side: str = "blue") -> None:
    """Become `process` of the app in `app_folder`; returns only by SystemExit, which tells why.

    A supervisor's file of an older Celeriac names no side (`runtimes.older_homes`).
    """
    folder = os.path.join(app_folder, side)  # noqa: PTH118
    manifest = _read(folder, "applied.json")
    env = _read(folder, "env")
    argv = manifest["processes"].get(process)
    if not argv:
        sys.exit(f"celeriac: {manifest['name']} has no process {process!r}")
    if manifest.get("phase") == "draining":
        sys.exit(f"celeriac: this release of {manifest['name']} is on its way out: not started again")
    lock = _hold_lock(folder, process, manifest)
    _hold_port(manifest)
    variables = environment(manifest, env, os.environ, process)
    data = os.path.join(app_folder, "data")  # noqa: PTH118
    os.makedirs(data, mode=0o700, exist_ok=True)  # noqa: PTH103
    os.chdir(data)
    _stamp(lock, manifest, _limit(manifest, app_folder, process, _instance_in(lock)))
    command = direct(program(expand(argv, variables), str(manifest["release"])))
    try:
        os.execvpe(command[0], command, variables)  # noqa: S606 - no shell, on purpose
    except OSError as error:
        sys.exit(f"celeriac: {command[0]} cannot be started: {error.strerror}")


def _read(folder: str, name: str) -> dict[str, Any]:
    try:
        with open(os.path.join(folder, name), encoding="utf-8") as file:  # noqa: PTH118, PTH123
            content: dict[str, Any] = parse(file.read())
            return content
    except (OSError, ValueError) as error:
        sys.exit(f"celeriac: {name} of this app cannot be read: {type(error).__name__}")


def parse(text: str) -> Any:
    """The value of a JSON text. Raises ValueError."""
    try:
        scan = make_scanner(_Plain)  # type: ignore[arg-type]
    except (AttributeError, TypeError):  # a Python whose `json` says more to it
        import json

        return json.loads(text)
    try:
        value, end = scan(text, 0)
    except StopIteration:
        raise ValueError("no JSON") from None
    if text[end:].strip():
        raise ValueError("more than one JSON value")
    return value


class _Plain:
    """What `json.JSONDecoder` says by default."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    array_hook = None  # since Python 3.15
    parse_float = float
    parse_int = int
    parse_constant = float
    memo: dict[str, str] = {}  # noqa: RUF012 - the scanner's own


def written(stamp: Mapping[str, object]) -> str:
    """`stamp` as JSON. Without limits there is nothing in it but numbers and a digest."""
    if all(type(value) is int or _is_plain(value) for value in stamp.values()):
        texts = {name: value if isinstance(value, int) else f'"{value}"' for name, value in stamp.items()}
        return "{" + ", ".join(f'"{name}": {text}' for name, text in texts.items()) + "}"
    import json

    return json.dumps(stamp)


def _is_plain(value: object) -> bool:
    return isinstance(value, str) and value.isascii() and value.isprintable() and not set(value) & {'"', "\\"}


def _hold_lock(side_folder: str, process: str, manifest: Mapping[str, object]) -> int:
    """Be the only one of this process, for as long as the app that we become lives; returns the lock."""
    folder = os.path.join(side_folder, "run")  # noqa: PTH118
    os.makedirs(folder, mode=0o700, exist_ok=True)  # noqa: PTH103
    lock = os.open(os.path.join(folder, process), os.O_RDWR | os.O_CREAT, 0o600)  # noqa: PTH118
    if not _locks(lock):
        _end_leftovers(manifest, process)
        deadline = time.monotonic() + _LOCK_WAIT
        while not _locks(lock):
            if time.monotonic() > deadline:
                sys.exit(f"celeriac: {process} of {manifest['name']} still runs elsewhere: not started twice")
            time.sleep(0.02)
    os.set_inheritable(lock, True)
    return lock


def _instance_in(lock: int) -> str:
    """Who held the lock before: one process, told apart from a later one with the same id; empty for nobody."""
    try:
        stamp = parse(os.pread(lock, os.fstat(lock).st_size, 0).decode())
        return f"{stamp['pid']}-{stamp['ticks']}"
    except (ValueError, KeyError, TypeError):
        return ""


def _stamp(lock: int, manifest: Mapping[str, object], more: Mapping[str, object]) -> None:
    """Say who we are, and what else there is to know of this process: the last thing before it is the app's own."""
    stamp = {"pid": os.getpid(), "ticks": start_ticks(os.getpid()), "digest": manifest["digest"], **more}
    data = written(stamp).encode()
    os.pwrite(lock, data.ljust(os.fstat(lock).st_size), 0)  # whoever reads meanwhile sees no half of one
    os.truncate(lock, len(data))


def _hold_port(manifest: Mapping[str, Any]) -> None:
    """Keep others from choosing our private port as long as the app that we become lives, by a shared lock."""
    path = manifest.get("port_lock")
    if not path:
        return
    try:
        lock = os.open(str(path), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError:  # somebody tidied it away: that we listen keeps others off, too
        return
    deadline = time.monotonic() + _LOCK_WAIT
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            break
        except BlockingIOError:  # somebody looks at this moment whether it is free
            if time.monotonic() > deadline:
                sys.exit(f"celeriac: port {manifest.get('port')} was given to another app")
            time.sleep(0.02)
    os.set_inheritable(lock, True)


def _locks(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _end_leftovers(manifest: Mapping[str, object], process: str) -> None:
    """End what an earlier process of this name left behind; only for the supervisor that is in charge.

    That supervisor has seen the earlier process end, so whatever else holds the lock is its children.
    """
    try:
        with open(str(manifest["supervisor_pid"]), encoding="ascii") as file:  # noqa: PTH123
            in_charge = int(file.read())
    except (OSError, ValueError):
        return
    if os.getppid() != in_charge:
        return
    marks = (
        f"CELERIAC_HOME_ID={manifest['home_id']}",
        f"CELERIAC_APP={manifest['name']}",
        f"CELERIAC_PROCESS={process}",
        f"CELERIAC_SIDE={manifest['side']}",
    )
    import signal

    from celeriac.marks import marked_pids

    for pid in marked_pids(marks):
        if pid != os.getpid():
            try:  # noqa: SIM105 - contextlib costs start-up time
                os.kill(pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                pass


def _limit(manifest: Mapping[str, Any], app_folder: str, process: str, before: str) -> dict[str, object]:
    """Put the app's limits on this process; what the stamp says of them. `before` is who was here before us."""
    if not manifest.get("memory") and not manifest.get("cpus"):
        return {}
    from runtimes.limiting import put_on

    limits = put_on(manifest, app_folder, process, f"{os.getpid()}-{start_ticks(os.getpid())}", before)
    return {"limits": limits, "memory": int(manifest.get("memory") or 0), "before": before}
