"""The supervisor of one home folder: started when needed, told about groups, and never a cause of second copies.

It is nobody's child and outlives Celeriac. Its promises:

- Two workers start one supervisor: whoever holds `<home>/supervisor/lock` does, and it is looked for again
  under the lock. The same lock guards every change of its files.
- No app ever runs twice. Before a supervisor is started, whatever an earlier one left alive is ended; the new
  one starts nothing by itself (autostart is off); the launcher holds a lock per process besides.
- After its death the apps come back: `reviving` is written before anything is ended and removed after the last
  app was started, so a revival that is cut off is finished by the next `ensure_running`.
- A file that the supervisor does not take is put back as it was.

Its process is `runtimes.supervisor_daemon`, its files are `runtimes.supervisor_files`, calls to it `supervisor_rpc`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from runtimes import cgroups, strays
from runtimes.sides import SIDES, Side, group_name
from runtimes.supervisor_conf import STOP_SECONDS, check_home
from runtimes.supervisor_daemon import Daemon
from runtimes.supervisor_files import ConfFolder, WantedApp
from runtimes.supervisor_rpc import (
    ALREADY_ADDED,
    ALREADY_STARTED,
    BAD_NAME,
    NOT_RUNNING,
    STILL_RUNNING,
    ProcessInfo,
    SupervisorError,
    SupervisorGoneError,
    call,
    call_many,
    parse_info,
)

__all__ = ["Group", "Supervisor", "WantedApp"]

_YOUNG = 2.0
_PATIENCE = 0.5

Group = Mapping[str, ProcessInfo]


def _no_apps() -> Mapping[str, WantedApp]:
    return {}


class Supervisor:
    """The supervisor of `home`. `apps` tells, when one must be started anew, what it is to run."""

    def __init__(self, home: Path, *, apps: Callable[[], Mapping[str, WantedApp]] = _no_apps) -> None:
        check_home(home)
        self._daemon = Daemon(home)
        self.home = home
        self.folder = self._daemon.folder
        self.conf_folder = self.folder / "conf.d"
        self.pid_file = self._daemon.pid_file
        self.home_id = self._daemon.home_id
        self._apps = apps
        self._files = ConfFolder(home, self.conf_folder, self.home_id, apps)
        self._reviving = self.folder / "reviving"

    # The daemon itself

    @property
    def socket(self) -> Path:
        """Where the supervisor listens: below the home folder, or in a private folder when that path is too long."""
        return self._daemon.socket

    def running(self) -> bool:
        """Whether a supervisor answers. Starts none."""
        return self._daemon.running()

    def ensure_running(self) -> None:
        """Have a supervisor that answers; after the death of one, end its strays and bring its apps back.

        Raises SupervisorError.
        """
        if not self._reviving.exists() and self.running():
            return
        with self._daemon.lock():
            if not self.running():
                self._reviving.touch()
                self._daemon.end_old()
                self._daemon.end_strays()
                self.conf_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._files.write_all()
                self._daemon.start()
            if self._reviving.exists():
                self._revive()

    def shutdown(self, *, stop_apps: bool = True) -> None:
        """Stop every app and then the supervisor. Without `stop_apps` both are left as they are.

        All are asked to stop at once: the supervisor's own way takes about a second for each.
        """
        if not stop_apps or not self.folder.is_dir():
            return
        with self._daemon.lock():
            try:
                infos = self._all()
                heard = _wait_begun(infos)
                living = strays.descendants(info.pid for info in infos if info.pid)
                call(self.socket, "supervisor.stopAllProcesses", False, timeout=120.0)
                self._wait_stopped(self._all, heard)
                strays.end([process for process in living if strays.is_alive(process)], grace=1.0)
                call(self.socket, "supervisor.shutdown")
            except SupervisorGoneError:
                pass  # then there are strays at most
            self._daemon.end_old()
            self._daemon.end_strays()
            self._daemon.leave_folder()
            self._reviving.unlink(missing_ok=True)

    # What it runs

    def processes(self) -> dict[str, dict[str, ProcessInfo]]:
        """Every process by app and name, in one call. Raises SupervisorGoneError."""
        found: dict[str, dict[str, ProcessInfo]] = {}
        for info in self._all():
            found.setdefault(info.app, {})[info.name] = info
        return found

    def group(self, app: str, names: Iterable[str], side: Side = "blue") -> dict[str, ProcessInfo]:
        """The processes `names` of `app`; one that the supervisor does not know is left out."""
        return {info.name: info for info in self._infos(f"{group_name(app, side)}:{name}" for name in names)}

    def put(self, app: str, processes: Iterable[str], side: Side = "blue", *, stopped: bool = False) -> None:
        """Have a group of exactly `processes` of `app`, stopped if it is new or changed. Cheap when it is there.

        `stopped` says that nothing of this generation runs. Raises SupervisorError; the files are then as they were.
        """
        names = tuple(sorted(processes))
        name = group_name(app, side)
        text = self._files.beside(app, name, self._files.text(app, names, side))
        if self._files.says(app, text) and self.group(app, names, side).keys() == set(names):
            return
        if not stopped:
            self.stop(app, side)
        self._load(app, name, text)

    def put_new(self, app: str, processes: Iterable[str]) -> bool:
        """Have the first group of `app`, stopped; False, and nothing done, where there is anything of it already."""
        if self.has_conf(app) or strays.find(self.home, app):
            return False
        try:
            self._load(app, app, self._files.beside(app, app, self._files.text(app, sorted(processes), SIDES[0])))
        except SupervisorError as error:
            if error.code == STILL_RUNNING:
                return False
            raise
        return True

    def bring(self, app: str, processes: Iterable[str], side: Side = "blue") -> None:
        """Have a group of exactly `processes` of `app`, as `put`, and ask for all of them to be started."""
        names = tuple(sorted(processes))
        text = self._files.text(app, names, side)
        if self._files.says(app, self._files.beside(app, group_name(app, side), text)):
            with contextlib.suppress(_Unknown):
                self._known(lambda: self.start(app, names, side))
                return
        self.put(app, names, side)
        self.start(app, names, side)

    def put_program(self, name: str, process: str, section: str) -> None:
        """Have a program of our own, whose group is `name` and whose file says `section`. Cheap when it is there."""
        if not self._files.says(name, section) or process not in self.group(name, (process,)):
            self.stop(name)
            self._load(name, name, section)

    def start(self, app: str, names: Iterable[str], side: Side = "blue") -> None:
        """Ask for the processes `names` of `app` to be started; those that run are left alone."""
        calls = [("supervisor.startProcess", (f"{group_name(app, side)}:{name}", False)) for name in names]
        call_many(self.socket, calls, ignore=(ALREADY_STARTED,))

    def stop(self, app: str, side: Side | None = None) -> None:
        """Stop every process of `app`, or of one generation of it, and whatever it left behind; return when none runs.

        They are asked first; after STOP_SECONDS the supervisor kills the group, and a little later we do.
        Raises SupervisorError when something survives even that.
        """
        groups = {group_name(app, one) for one in ([side] if side else SIDES)}
        try:
            infos = [info for info in self._all() if info.app in groups]
            names = [f"{info.app}:{info.name}" for info in infos]
            heard = _wait_begun(infos)
            living = strays.descendants(info.pid for info in infos if info.pid)
            self._ask_to_stop(names)
            self._forget_failed_starts(self._wait_stopped(lambda: self._infos(names), heard))
        except SupervisorGoneError:
            living = []
        left = {process.pid: process for process in living if strays.is_alive(process)}
        left.update({process.pid: process for process in strays.find(self.home, app, side)})
        survivors = strays.end(list(left.values()), grace=1.0)
        if survivors:
            raise SupervisorError(f"{app}: process {survivors[0].pid} cannot be ended")
        cgroups.clean(str(self.home), self.home_id, app)

    def signal(self, app: str, names: Iterable[str], name: str, side: Side = "blue") -> None:
        """Send the signal `name`, such as HUP, to the processes of `app` that run."""
        calls = [("supervisor.signalProcess", (f"{group_name(app, side)}:{process}", name)) for process in names]
        call_many(self.socket, calls, ignore=(NOT_RUNNING,))

    def remove(self, app: str) -> None:
        """Stop `app` and forget its groups. Unknown ones are fine, and so is no supervisor at all."""
        self.stop(app)
        if not self.folder.is_dir():
            return
        with self._daemon.lock():
            self._files.drop(app)
            for side in SIDES:
                with contextlib.suppress(_Unknown, SupervisorGoneError):
                    self._call_known("supervisor.removeProcessGroup", group_name(app, side))

    def apps(self) -> set[str]:
        """The apps that there is a file for."""
        return {path.stem for path in self.conf_folder.glob("*.conf") if not path.name.startswith("@")}

    def has_conf(self, app: str) -> bool:
        """Whether there is a file for the group of `app`."""
        return self._files.path(app).is_file()

    # Inside

    def _load(self, file: str, name: str, text: str) -> None:
        """Have the group `name`, which is stopped, as `text` says for the file of `file`."""
        waiting = self._files.leave(file, text)
        with self._daemon.lock():
            if waiting.exists():
                self._files.load(file, lambda: self._take(name, reread=True))
                return
        # The one who held the lock before us had ours read together with its own.
        self._take(name)

    def _take(self, name: str, *, reread: bool = False) -> None:
        """Have the supervisor forget the group `name`, read all files again if asked to, and take it from there."""
        calls: list[tuple[str, tuple[Any, ...]]] = [("supervisor.removeProcessGroup", (name,))]
        if reread:
            calls.append(("supervisor.reloadConfig", ()))
        calls.append(("supervisor.addProcessGroup", (name,)))
        added = call_many(self.socket, calls, ignore=(BAD_NAME, ALREADY_ADDED))[-1]
        if not added and not any(info.app == name for info in self._all()):
            raise SupervisorError(f"the supervisor did not take the group {name}")

    def _revive(self) -> None:
        """Start what is to run. The lock is held."""
        for app, wish in self._apps().items():
            if wish.start:
                with contextlib.suppress(_Unknown):
                    self._known(lambda app=app, wish=wish: self.start(app, wish.processes, wish.side))  # type: ignore[misc]
        for path in self.conf_folder.glob("@*.conf"):
            self._start_own(path.stem)
        self._reviving.unlink(missing_ok=True)

    def _start_own(self, name: str) -> None:
        """Start a program of our own again. The supervisor read its file when it began."""
        with contextlib.suppress(SupervisorError):  # whoever needs it looks, too
            call(self.socket, "supervisor.startProcessGroup", name, False)

    def _wait_stopped(self, look: Callable[[], list[ProcessInfo]], heard: set[int]) -> list[ProcessInfo]:
        """Wait until nothing is up; return what was seen then.

        `heard` are the processes that were programs of their own when they were asked. The others, which the
        supervisor forked in between, are asked once more: a fork loses the request. So is what had just ended by
        itself: the supervisor refuses to stop that (EXITED), and starts it anew right after.
        """
        begun = time.monotonic()
        pause = 0.005
        killed = False
        while True:
            infos = look()
            up = [info for info in infos if info.state not in {"STOPPED", "FATAL", "UNKNOWN"}]
            waited = time.monotonic() - begun
            if not up:
                return infos
            self._ask_to_stop(f"{info.app}:{info.name}" for info in up if info.state != "STOPPING")
            for info in up:
                if info.state == "STOPPING" and info.pid and info.pid not in heard and not strays.is_fork(info.pid):
                    heard.add(info.pid)
                    with contextlib.suppress(ProcessLookupError, PermissionError):
                        os.kill(info.pid, signal.SIGTERM)
            if waited > STOP_SECONDS + 2 and not killed:
                killed = True
                for info in up:
                    if info.pid:
                        with contextlib.suppress(ProcessLookupError, PermissionError):
                            os.killpg(info.pid, signal.SIGKILL)
            if waited > STOP_SECONDS + 10:
                raise SupervisorError(f"{up[0].app}: process {up[0].pid} does not stop")
            time.sleep(pause)
            pause = min(pause * 1.5, 0.1)

    def _forget_failed_starts(self, stopped: Iterable[ProcessInfo]) -> None:
        """Have what was stopped between two failed starts begin anew: else the next start has fewer tries left.

        Only a new group counts from nothing. One that the supervisor does not take again is loaded by the next `bring`.
        """
        for name in {info.app for info in stopped if info.state == "STOPPED" and info.error}:
            with contextlib.suppress(SupervisorError):
                self._take(name)

    def _ask_to_stop(self, names: Iterable[str]) -> None:
        """Ask for the processes `names`, each as `group:process`, to be stopped; those that are not up are fine."""
        calls = [("supervisor.stopProcess", (name, False)) for name in names]
        call_many(self.socket, calls, ignore=(NOT_RUNNING, BAD_NAME))

    def _infos(self, names: Iterable[str]) -> list[ProcessInfo]:
        """What is known of the processes `names`, each as `group:process`; unknown ones are left out."""
        calls = [("supervisor.getProcessInfo", (name,)) for name in names]
        answers = call_many(self.socket, calls, ignore=(BAD_NAME,))
        return [parse_info(raw) for raw in answers if raw is not None]

    def _all(self) -> list[ProcessInfo]:
        return [parse_info(raw) for raw in call(self.socket, "supervisor.getAllProcessInfo")]

    def _call_known(self, method: str, app: str, *, ignore: int = -1) -> None:
        try:
            call(self.socket, method, app)
        except SupervisorError as error:
            if error.code == BAD_NAME:
                raise _Unknown from error
            if error.code != ignore:
                raise

    def _known(self, what: Callable[[], None]) -> None:
        try:
            what()
        except SupervisorError as error:
            if error.code == BAD_NAME:
                raise _Unknown from error
            raise


def _wait_begun(infos: Iterable[ProcessInfo]) -> set[int]:
    """Wait until what was forked just now is a program of its own: before that the request to stop gets lost.

    Returns the ids of those that are. One that wrote over its environment looks like a fork, so this is no more than
    a moment's patience.
    """
    pids = {info.pid for info in infos if info.pid}
    young = {info.pid for info in infos if info.pid and time.time() - info.started < _YOUNG}
    deadline = time.monotonic() + _PATIENCE
    while (forks := {pid for pid in young if strays.is_fork(pid)}) and time.monotonic() < deadline:
        time.sleep(0.002)
    return pids - forks


class _Unknown(Exception):  # noqa: N818 - an answer, not a fault
    """The supervisor does not know a group of that name."""
