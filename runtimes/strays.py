"""Processes of our apps that no supervisor watches any more, found and ended.

A supervisor that is killed leaves its apps alive, and a new one would start second copies beside
them (measured in the stack notes). Our processes carry the stamps that the launcher set, so they are
found by their environment; one that wrote over it is still found by the id and start time that the
launcher noted. Ids are never trusted without the start time, since the system uses them again.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
import psutil

from celeriac.marks import marked_pids
from runtimes.launching import start_ticks
from runtimes.sides import SIDES, Side


class RunStamp(msgspec.Struct, frozen=True):
    """What the launcher noted when it started a process.

    Of an app with limits: `limits` says what holds it, by name of the limit, `memory` is its limit in bytes, and
    `before` the process (`instance`) that was here before.
    """

    pid: int
    ticks: int
    digest: str
    limits: dict[str, str] = {}
    memory: int = 0
    before: str = ""

    @property
    def instance(self) -> str:
        """This very process, told apart from a later one with the same id."""
        return f"{self.pid}-{self.ticks}"


_decoder = msgspec.json.Decoder(RunStamp)


def home_id(home: Path) -> str:
    """A stable id of this home folder, stamped into every process that is started from it."""
    return hashlib.sha256(os.fsencode(home.resolve())).hexdigest()[:16]


def read_stamp(side_folder: Path, process: str) -> RunStamp | None:
    """What the launcher noted of `process` of one generation; None when it never ran."""
    try:
        return _decoder.decode((side_folder / "run" / process).read_bytes())
    except (OSError, msgspec.MsgspecError):
        return None


def stamps(side_folder: Path) -> dict[str, RunStamp]:
    """What the launcher noted of every process of one generation, by name; they may have ended since."""
    names = _names_in(side_folder / "run")
    return {name: stamp for name in names if (stamp := read_stamp(side_folder, name)) is not None}


def find(home: Path, app: str = "", side: Side | None = None) -> list[psutil.Process]:
    """Every living process that was started from `home`, of `app` or of one generation of it alone where given."""
    marks = [f"CELERIAC_HOME_ID={home_id(home)}", *([f"CELERIAC_APP={app}"] if app else [])]
    marks += [f"CELERIAC_SIDE={side}"] if side else []
    pids = set(marked_pids(marks) if Path("/proc").is_dir() else _marked_by_psutil(marks))
    folders = [home / "apps" / app] if app else _app_folders(home)
    for folder in (folder / one for folder in folders for one in ([side] if side else SIDES)):
        for stamp in stamps(folder).values():
            if stamp.ticks and start_ticks(stamp.pid) == stamp.ticks:
                pids.add(stamp.pid)
    pids.discard(os.getpid())
    return pinned(sorted(pids))


def pinned(pids: Iterable[int]) -> list[psutil.Process]:
    """Those of `pids` that live, pinned by their start times."""
    return [process for pid in pids if (process := _alive(pid)) is not None]


def descendants(pids: Iterable[int]) -> list[psutil.Process]:
    """The processes `pids` and all below them, pinned by their start times."""
    found: dict[int, psutil.Process] = {}
    for pid in pids:
        leader = _alive(pid)
        if leader is None:
            continue
        found[pid] = leader
        try:
            found.update({child.pid: child for child in leader.children(recursive=True)})
        except psutil.Error:  # it ended while we looked
            continue
    return list(found.values())


def end(processes: Sequence[psutil.Process], *, grace: float) -> list[psutil.Process]:
    """Ask `processes` to end, kill what has not after `grace` seconds; return what lives even then."""
    if not processes:
        return []
    if grace > 0:
        _signal_all(processes, "terminate")
        processes = _wait(processes, grace)
    _signal_all(processes, "kill")
    return _wait(processes, 5.0)


def _signal_all(processes: Iterable[psutil.Process], how: str) -> None:
    for process in processes:
        try:
            getattr(process, how)()
        except psutil.Error:  # gone, or not ours to end: `_wait` tells
            continue


def _wait(processes: Sequence[psutil.Process], seconds: float) -> list[psutil.Process]:
    deadline = time.monotonic() + seconds
    pause = 0.005
    while True:
        living = [process for process in processes if is_alive(process)]
        if not living or time.monotonic() > deadline:
            return living
        time.sleep(pause)
        pause = min(pause * 1.5, 0.1)


def is_alive(process: psutil.Process) -> bool:
    """Whether this very process still runs; one that only waits to be reaped does not."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _alive(pid: int) -> psutil.Process | None:
    try:
        process = psutil.Process(pid)
    except psutil.NoSuchProcess:
        return None
    return process if is_alive(process) else None


def _app_folders(home: Path) -> list[Path]:
    return [home / "apps" / name for name in _names_in(home / "apps")]


def _names_in(folder: Path) -> list[str]:
    """What is in a folder; nothing when it is none, or when somebody removes it at this moment."""
    try:
        return sorted(path.name for path in folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _marked_by_psutil(marks: Sequence[str]) -> list[int]:
    """The slow way, for systems without /proc."""
    wanted = dict(mark.split("=", 1) for mark in marks)
    found = []
    for process in psutil.process_iter():
        try:
            env = process.environ()
        except (psutil.Error, OSError):
            continue
        if all(env.get(name) == value for name, value in wanted.items()):
            found.append(process.pid)
    return found


def stamped_digest(process: psutil.Process) -> str:
    """The digest in the environment that `process` was started with; empty where it cannot be read."""
    try:
        return str(process.environ().get("CELERIAC_DIGEST", ""))
    except (psutil.Error, OSError):
        return ""


def is_fork(pid: int) -> bool:
    """Whether `pid` is still a copy of the supervisor, not yet the launcher: it would not heed being asked to stop."""
    try:
        return "CELERIAC_PROCESS" not in psutil.Process(pid).environ()
    except (psutil.Error, OSError):
        return False
