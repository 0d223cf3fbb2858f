"""Starts one process of an app: run by the supervisor, becomes the app. Standard library only.

    python -I -S launch.py <home>/apps/<app> <process>

It reads what is applied (`applied.json`) and the environment (`env`, mode 0600), so that neither the
supervisor's files nor any argument list holds a secret. It builds the environment from the few
inherited variables that belong to the machine, the app's own, and Celeriac's stamps (by which the
live process can be told apart from every other), sets the limits and executes the real command.

A process of an app exists at most once: its lock is inherited by the app and held as long as it
lives. Where a crashed app left children behind, they are ended first; where somebody else than the
supervisor in charge runs this, it gives up.

The pure parts (`environment`, `expand`) are shared with the health checks.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import resource
import signal
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_MACHINE = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR", "LD_LIBRARY_PATH")
_NETWORK = ("SSL_CERT_FILE", "SSL_CERT_DIR", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
_KEPT = frozenset((*_MACHINE, *_NETWORK, "http_proxy", "https_proxy", "all_proxy", "no_proxy"))
_VARIABLE = re.compile(r"\$(?:\$|(\w+)|\{(\w+)\})", re.ASCII)
_LOCK_WAIT = 5.0
_HOST = os.path.join(os.path.dirname(os.path.abspath(__file__)), "host", "__main__.py")  # noqa: PTH100, PTH118, PTH120


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
        CELERIAC_ENV_FILE=str(manifest["env_file"]),
        CELERIAC_HOST_PROGRAM=_HOST,
    )
    return result


def expand(argv: Sequence[str], env: Mapping[str, str]) -> list[str]:
    """`argv` with `$NAME` and `${NAME}` replaced from `env`; an unknown name stays as written, `$$` is `$`."""

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        return "$" if name is None else env.get(name, match[0])

    return [_VARIABLE.sub(value, argument) for argument in argv]


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


def start_ticks(pid: int) -> int:
    """When process `pid` was started, in the kernel's own count; 0 where that cannot be known."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:  # noqa: PTH123
            return int(stat.read().rpartition(b")")[2].split()[19])
    except (OSError, IndexError, ValueError):
        return 0


def marked_pids(marks: Iterable[str]) -> list[int]:
    """The processes whose environment holds every one of `marks` (`NAME=value`), where /proc tells."""
    wanted = [b"\0" + os.fsencode(mark) + b"\0" for mark in marks]
    found = []
    for entry in os.listdir("/proc") if os.path.isdir("/proc") else ():  # noqa: PTH112, PTH208
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/environ", "rb") as file:  # noqa: PTH123
                content = b"\0" + file.read() + b"\0"
        except OSError:  # another user's, or gone
            continue
        if all(mark in content for mark in wanted):
            found.append(int(entry))
    return found


def main(app_folder: str, process: str) -> None:
    """Become `process` of the app in `app_folder`; returns only by SystemExit, which tells why."""
    manifest = _read(app_folder, "applied.json")
    env = _read(app_folder, "env")
    argv = manifest["processes"].get(process)
    if not argv:
        sys.exit(f"celeriac: {manifest['name']} has no process {process!r}")
    _hold_lock(app_folder, process, manifest)
    variables = environment(manifest, env, os.environ, process)
    data = os.path.join(app_folder, "data")  # noqa: PTH118
    os.makedirs(data, mode=0o700, exist_ok=True)  # noqa: PTH103
    os.chdir(data)
    _limit(manifest)
    command = program(expand(argv, variables), str(manifest["release"]))
    try:
        os.execvpe(command[0], command, variables)  # noqa: S606 - no shell, on purpose
    except OSError as error:
        sys.exit(f"celeriac: {command[0]} cannot be started: {error.strerror}")


def _read(folder: str, name: str) -> dict[str, Any]:
    try:
        with open(os.path.join(folder, name), encoding="utf-8") as file:  # noqa: PTH118, PTH123
            content: dict[str, Any] = json.load(file)
            return content
    except (OSError, ValueError) as error:
        sys.exit(f"celeriac: {name} of this app cannot be read: {type(error).__name__}")


def _hold_lock(app_folder: str, process: str, manifest: Mapping[str, object]) -> None:
    """Be the only one of this process, for as long as the app that we become lives."""
    folder = os.path.join(app_folder, "run")  # noqa: PTH118
    os.makedirs(folder, mode=0o700, exist_ok=True)  # noqa: PTH103
    lock = os.open(os.path.join(folder, process), os.O_RDWR | os.O_CREAT, 0o600)  # noqa: PTH118
    if not _locks(lock):
        _end_leftovers(manifest, process)
        deadline = time.monotonic() + _LOCK_WAIT
        while not _locks(lock):
            if time.monotonic() > deadline:
                sys.exit(f"celeriac: {process} of {manifest['name']} still runs elsewhere: not started twice")
            time.sleep(0.02)
    stamp = {"pid": os.getpid(), "ticks": start_ticks(os.getpid()), "digest": manifest["digest"]}
    os.truncate(lock, 0)
    os.pwrite(lock, json.dumps(stamp).encode(), 0)
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
    )
    for pid in marked_pids(marks):
        if pid != os.getpid():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)


def _limit(manifest: Mapping[str, Any]) -> None:
    memory = int(manifest.get("memory") or 0)
    if memory:
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    cpus = float(manifest.get("cpus") or 0)
    if cpus and hasattr(os, "sched_setaffinity"):
        available = sorted(os.sched_getaffinity(0))
        count = min(len(available), max(1, -int(-cpus // 1)))
        # Apps start at different CPUs, so that small ones do not all share the first.
        first = sum(str(manifest["name"]).encode()) % len(available)
        os.sched_setaffinity(0, {available[(first + i) % len(available)] for i in range(count)})


if __name__ == "__main__":
    main(*sys.argv[1:3])
